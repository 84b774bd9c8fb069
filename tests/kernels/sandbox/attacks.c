/* What a hostile program tries. Each word of the command line is VERB or VERB:TARGET; each is tried in a process of
   its own, and "VERB yes" or "VERB no" is printed. All that takes something is bounded here too. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../emulated/startup.h"

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

/* Has the kernel take another process first where memory runs out. */
static int dooms(const char *pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/oom_score_adj", pid);
    return open(path, O_WRONLY) >= 0;
}

static int reaches(int kind, const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    int one = socket(AF_INET, kind, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return one >= 0 && !connect(one, (void *)&to, sizeof to) && send(one, "x", 1, 0) == 1;
}

static int reaches_local(int kind, const char *name, int abstract) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int one = socket(AF_UNIX, kind, 0);
    strncpy(to.sun_path + abstract, name, sizeof to.sun_path - 2);
    return one >= 0 && !connect(one, (void *)&to, offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name));
}

/* Neither needs a socket of its own: one of a pair that is not of a stream sends to any address. */
static int reaches_by_a_pair(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int ends[2];
    strncpy(to.sun_path, path, sizeof to.sun_path - 1);
    return !socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) && sendto(ends[0], "x", 1, 0, (void *)&to, sizeof to) == 1;
}

static int talks_by_a_pair(void) {
    char byte = 0;
    int ends[2];
    return !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) && send(ends[0], "x", 1, 0) == 1 &&
           recv(ends[1], &byte, 1, 0) == 1 && byte == 'x';
}

static int swells_a_pair(void) {
    int ends[2], size = 1 << 20;
    return !socketpair(AF_UNIX, SOCK_STREAM, 0, ends) &&
           !setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* A descriptor on its way is in no process, so that no watch sees what it holds. */
static int mails_a_descriptor(void) {
    char byte = 'x', room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr mail = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&mail);
    int ends[2];
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof(int));
    return !socketpair(AF_UNIX, SOCK_STREAM, 0, ends) && sendmsg(ends[0], &mail, 0) == 1;
}

static int changes_shared(const char *number) {
    char *memory = shmat(atoi(number), 0, 0);
    return memory != (void *)-1 && (*memory = 'x');
}

static int changes_semaphore(const char *number) {
    struct sembuf up = {0, 1, IPC_NOWAIT};
    return !semop(atoi(number), &up, 1) || !semctl(atoi(number), 0, SETVAL, 1);
}

static int queues(const char *number) {
    struct {
        long kind;
        char text[1];
    } message = {1, "x"};
    return !msgsnd(atoi(number), &message, 1, IPC_NOWAIT) || !msgctl(atoi(number), IPC_STAT, 0);
}

static int leases(const char *path) {
    int file = open(path, O_RDONLY);
    return file >= 0 && !fcntl(file, F_SETLEASE, F_RDLCK);
}

static int flags(const char *path) {
    int set = 0, file = open(path, O_RDONLY);
    return file >= 0 && !ioctl(file, FS_IOC_GETFLAGS, &set) && (set ^= FS_NODUMP_FL, !ioctl(file, FS_IOC_SETFLAGS, &set));
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

/* What a file that it may execute and not read runs, is hidden from the user's other processes. */
static int hides_and_holds(const char *megabytes) {
    static char block[1 << 16];
    char word[32];
    int from = open("/proc/self/exe", O_RDONLY), to = open("unread", O_WRONLY | O_CREAT | O_EXCL, 0111);
    for (ssize_t size; (size = read(from, block, sizeof block)) > 0;)
        if (write(to, block, size) != size) return 0;
    close(to);
    dup2(open("/dev/null", O_WRONLY), 1);
    snprintf(word, sizeof word, "hold:%s", megabytes);
    return execl("unread", "unread", word, (char *)0);
}

static int try_word(const char *verb, const char *target);

static void *go_on(void *word) {
    char *verb = strtok(word, ":"), *target = strtok(0, "");
    _exit(!try_word(verb, target));
}

/* The first thread ends, and with it what /proc says of the whole process. */
static int leaves(const char *word) {
    pthread_t other;
    if (pthread_create(&other, 0, go_on, strdup(word))) return 0;
    syscall(SYS_exit, 0);
    return 0;
}

static int grows(long megabytes) {
    char *memory = malloc(megabytes << 20);
    for (long byte = 0; memory && byte < megabytes << 20; byte += 4096) *(volatile char *)(memory + byte) = 1;
    usleep(600000);
    return memory != 0;
}

static int locks_a_folder(const char *target) {
    return !mkdir("locked", 0700) && !symlink(target, "locked/link") && !chmod("locked", 0500);
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

/* A bomb proper: every copy forks, and is quick about it. Ends by itself after ten seconds. */
static void bomb(void) {
    alarm(10);
    for (int generation = 0; generation < 7; generation++) {
        fork();
        alarm(10);
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

static int crowds(int processes, const char *how) {
    for (int count = 0; count < processes && count < 16; count++)
        if (!fork()) go_on(strdup(how));
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
    if (!strcmp(verb, "abstract")) return reaches_local(SOCK_STREAM, target, 1);
    if (!strcmp(verb, "local")) return reaches_local(SOCK_STREAM, target, 0);
    if (!strcmp(verb, "packet")) return reaches_local(SOCK_SEQPACKET, target, 0);
    if (!strcmp(verb, "dgram")) return reaches_by_a_pair(target);
    if (!strcmp(verb, "pair")) return talks_by_a_pair();
    if (!strcmp(verb, "swell")) return swells_a_pair();
    if (!strcmp(verb, "mail")) return mails_a_descriptor();
    if (!strcmp(verb, "segment")) return changes_shared(target);
    if (!strcmp(verb, "semaphore")) return changes_semaphore(target);
    if (!strcmp(verb, "queue")) return queues(target);
    if (!strcmp(verb, "lease")) return leases(target);
    if (!strcmp(verb, "flags")) return flags(target);
    if (!strcmp(verb, "watch")) return inotify_add_watch(inotify_init(), target, IN_ALL_EVENTS) >= 0;
    if (!strcmp(verb, "netlink")) return socket(AF_NETLINK, SOCK_RAW, 0) >= 0;
    if (!strcmp(verb, "signal")) return !kill(atoi(target), SIGWINCH);
    if (!strcmp(verb, "environ")) return of_process(target, "environ");
    if (!strcmp(verb, "mem")) return of_process(target, "mem");
    if (!strcmp(verb, "doom")) return dooms(target);
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
    if (!strcmp(verb, "crowd")) return crowds(8, target);
    if (!strcmp(verb, "grow")) return grows(atol(target));
    if (!strcmp(verb, "leave")) return leaves(target);
    if (!strcmp(verb, "unread")) return hides_and_holds(target);
    if (!strcmp(verb, "lock")) return locks_a_folder(target);
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
    if (count == 2 && !strcmp(words[1], "start")) {
        /* No attack, and in this very process, as a driver does it. */
        const char *refused = upskill_refused_at_start(environ);
        printf("refused: %s\n", refused ? refused : "nothing");
        return 0;
    }
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
