/* What a hostile program tries. Each word of the command line is VERB or VERB:TARGET; each is tried in a process of
   its own, and "VERB yes" or "VERB no" is printed. All that takes something is bounded here too. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int reads(const char *path) {
    char byte;
    int file = open(path, O_RDONLY);
    return file >= 0 && read(file, &byte, 1) == 1;
}

static int of_process(const char *pid, const char *what) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, what);
    if (strcmp(what, "mem")) return reads(path);
    return open(path, O_RDONLY) >= 0;
}

static int reaches(int kind, const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    int one = socket(AF_INET, kind, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return one >= 0 && !connect(one, (void *)&to, sizeof to) && send(one, "x", 1, 0) == 1;
}

static int reaches_local(const char *name, int abstract) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int one = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(to.sun_path + abstract, name, sizeof to.sun_path - 2);
    return one >= 0 && !connect(one, (void *)&to, offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name));
}

static int fills(const char *folder, int megabytes) {
    static char block[1 << 20];
    char path[512];
    memset(block, 1, sizeof block);
    for (int file = -1, count = 0; count < megabytes && count < 256; count++) {
        if (count % 4 == 0) {
            snprintf(path, sizeof path, "%s/fill%d", folder, count);
            file = open(path, O_WRONLY | O_CREAT, 0600);
        }
        if (write(file, block, sizeof block) != sizeof block) return 0;
    }
    return 1;
}

static int litters(int files) {
    char path[32];
    for (int count = 0; count < files && count < 5000; count++) {
        snprintf(path, sizeof path, "empty%d", count);
        if (mknod(path, S_IFREG | 0600, 0)) return 0;
    }
    usleep(300000);
    return 1;
}

/* A file without a name, as large as one may be, and another, and another. */
static int holds(int megabytes) {
    for (int count = 0; count < megabytes; count += 4) {
        char name[32], mib[1 << 16] = {1};
        snprintf(name, sizeof name, "held%d", count);
        int file = open(name, O_WRONLY | O_CREAT, 0600);
        unlink(name);
        for (int part = 0; part < 64; part++)
            if (write(file, mib, sizeof mib) != sizeof mib) return 0;
    }
    usleep(300000);
    return 1;
}

static int forks(int most) {
    int made = 0;
    for (; made < most && made < 200; made++) {
        pid_t child = fork();
        if (child < 0) break;
        if (!child) {
            sleep(5);
            _exit(0);
        }
    }
    printf("made %d\n", made);
    fflush(stdout);
    usleep(100000);
    return made >= most;
}

/* A bomb proper: every copy forks, and is quick about it. Ends by itself after a second. */
static void bomb(void) {
    alarm(1);
    for (int generation = 0; generation < 7; generation++) {
        fork();
        alarm(1);
    }
    for (;;) pause();
}

static int escapes(const char *mark) {
    char program[512];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    program[size < 0 ? 0 : size] = 0;
    if (!fork()) {
        setsid();
        if (!fork()) {
            setsid();
            signal(SIGTERM, SIG_IGN);
            signal(SIGHUP, SIG_IGN);
            prctl(PR_SET_NAME, mark);
            sleep(20);
        }
        _exit(0);
    }
    usleep(50000);
    return 1;
}

static int crowds(int processes, long megabytes) {
    for (int count = 0; count < processes && count < 16; count++)
        if (!fork()) {
            char *memory = malloc(megabytes << 20);
            for (long byte = 0; memory && byte < megabytes << 20; byte += 4096) *(volatile char *)(memory + byte) = 1;
            usleep(600000);
            _exit(!memory);
        }
    usleep(600000);
    return 1;
}

static int maps(const char *gigabytes) {
    return mmap(0, strtoull(gigabytes, 0, 10) << 30, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static int follows(const char *pid) {
    if (ptrace(PTRACE_ATTACH, atoi(pid), 0, 0)) return 0;
    waitpid(atoi(pid), 0, 0);
    return !ptrace(PTRACE_DETACH, atoi(pid), 0, 0);
}

static int starves(const char *pid) {
    struct rlimit limit;
    return !prlimit(atoi(pid), RLIMIT_CORE, 0, &limit) && !prlimit(atoi(pid), RLIMIT_CORE, &limit, 0);
}

static int extra_descriptors(void) {
    int count = 0;
    for (int file = 3; file < 1024; file++) count += fcntl(file, F_GETFD) >= 0;
    return count;
}

static int answers(int socket) {
    char line[64] = "got ";
    ssize_t size = read(socket, line + 4, sizeof line - 4);
    return size > 0 && write(socket, line, 4 + size) == 4 + size;
}

static int new_user(void) { return !unshare(CLONE_NEWUSER); }

static int new_user_by_clone(void) {
    pid_t child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (!child) _exit(0);
    return child > 0;
}

static int try_word(const char *verb, const char *target) {
    struct timeval now[2] = {{1, 0}, {1, 0}};
    if (!strcmp(verb, "read")) return reads(target);
    if (!strcmp(verb, "write")) return open(target, O_WRONLY | O_CREAT | O_APPEND, 0600) >= 0;
    if (!strcmp(verb, "empty")) return open(target, O_RDONLY | O_TRUNC) >= 0;
    if (!strcmp(verb, "truncate")) return !truncate(target, 0);
    if (!strcmp(verb, "unlink")) return !unlink(target);
    if (!strcmp(verb, "mode")) return !chmod(target, 0777);
    if (!strcmp(verb, "age")) return !utimes(target, now);
    if (!strcmp(verb, "link")) return !link(target, "linked");
    if (!strcmp(verb, "list")) return open(target, O_RDONLY | O_DIRECTORY) >= 0;
    if (!strcmp(verb, "tcp")) return reaches(SOCK_STREAM, target);
    if (!strcmp(verb, "udp")) return reaches(SOCK_DGRAM, target);
    if (!strcmp(verb, "abstract")) return reaches_local(target, 1);
    if (!strcmp(verb, "local")) return reaches_local(target, 0);
    if (!strcmp(verb, "netlink")) return socket(AF_NETLINK, SOCK_RAW, 0) >= 0;
    if (!strcmp(verb, "signal")) return !kill(atoi(target), SIGWINCH);
    if (!strcmp(verb, "environ")) return of_process(target, "environ");
    if (!strcmp(verb, "mem")) return of_process(target, "mem");
    if (!strcmp(verb, "trace")) return follows(target);
    if (!strcmp(verb, "starve")) return starves(target);
    if (!strcmp(verb, "slow")) return !setpriority(PRIO_PROCESS, atoi(target), 19);
    if (!strcmp(verb, "variable")) return getenv(target) != 0;
    if (!strcmp(verb, "descriptors")) return extra_descriptors() > 0;
    if (!strcmp(verb, "type")) return !ioctl(atoi(target), TIOCSTI, "x");
    if (!strcmp(verb, "terminal")) return open("/dev/tty", O_RDWR) >= 0;
    if (!strcmp(verb, "user")) return new_user();
    if (!strcmp(verb, "userclone")) return new_user_by_clone();
    if (!strcmp(verb, "ring")) return syscall(425, 0, 0) >= 0 || errno == EFAULT || errno == EINVAL;
    if (!strcmp(verb, "keys")) return syscall(SYS_keyctl, 0, -3, 1) >= 0;
    if (!strcmp(verb, "memfd")) return memfd_create("x", 0) >= 0;
    if (!strcmp(verb, "shared")) return shmget(IPC_PRIVATE, 4096, IPC_CREAT | IPC_EXCL | 0600) >= 0;
    if (!strcmp(verb, "hide")) return !prctl(PR_SET_DUMPABLE, 0);
    if (!strcmp(verb, "map")) return maps(target);
    if (!strcmp(verb, "fill")) return fills(target, 64);
    if (!strcmp(verb, "litter")) return litters(atoi(target));
    if (!strcmp(verb, "hold")) return holds(atoi(target));
    if (!strcmp(verb, "forks")) return forks(atoi(target));
    if (!strcmp(verb, "bomb")) bomb();
    if (!strcmp(verb, "escape")) return escapes(target);
    if (!strcmp(verb, "crowd")) return crowds(8, atoi(target));
    if (!strcmp(verb, "sleep")) return sleep(atoi(target)) == 0;
    if (!strcmp(verb, "abort")) kill(getpid(), SIGABRT);
    if (!strcmp(verb, "answer")) return answers(atoi(target));
    if (!strcmp(verb, "spin")) for (volatile long turn = 0; turn < 20000000000L;) turn++;
    if (!strcmp(verb, "say")) {
        char line[1024];
        memset(line, 'x', sizeof line);
        for (int count = 0; count < atoi(target); count++) fwrite(line, sizeof line, 1, stdout);
        return 1;
    }
    return 0;
}

int main(int count, char **words) {
    setvbuf(stdout, 0, _IOLBF, 1 << 16);
    for (int index = 1; index < count; index++) {
        char *verb = strtok(strdup(words[index]), ":"), *target = strtok(0, "");
        pid_t child = fork();
        if (!child) _exit(!try_word(verb, target ? target : ""));
        int status = -1;
        waitpid(child, &status, 0);
        printf("%s %s\n", words[index], status ? "no" : "yes");
    }
    return 0;
}
