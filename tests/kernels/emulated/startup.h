/* What the real driver asks of the operating system while cuInit runs. Where one of these is refused, it ends with
   CUDA_ERROR_OPERATING_SYSTEM (304). Drivers from 570 on were seen to do so by those who put them into sandboxes:
   github.com/nolabs-ai/nono/issues/924 (names of threads), github.com/NVIDIA/OpenShell/issues/1696 (memfd_create),
   github.com/NVIDIA/cuda-checkpoint/issues/10 (the trace of a whole start), AppArmor's rules for snaps (cuda-uvmfd). */
#ifndef UPSKILL_STARTUP_H
#define UPSKILL_STARTUP_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Each thread of the driver gets a name, by a file and not by prctl. */
static void *upskill_named(void *worked) {
    char path[64];
    int file;
    snprintf(path, sizeof path, "/proc/self/task/%ld/comm", (long)syscall(SYS_gettid));
    file = open(path, O_RDWR | O_CLOEXEC);
    *(int *)worked = file >= 0 && write(file, "cuda-EvtHandlr", 14) == 14;
    if (file >= 0) close(file);
    return NULL;
}

static int upskill_names_a_thread(void) {
    pthread_t thread;
    int worked = 0;
    return !pthread_create(&thread, NULL, upskill_named, &worked) && !pthread_join(thread, NULL) && worked;
}

/* It would hand its descriptors to other processes of a program over a socket of this name. */
static int upskill_listens(const void *own) {
    struct sockaddr_un name;
    int one = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "upskill-uvmfd-%p-%ld", own, (long)getpid());
    return one >= 0 &&
           !bind(one, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + 2 + strlen(name.sun_path + 1)) &&
           !listen(one, 16);
}

/* A server that shares a device between processes may run. It is well where nobody answers. */
static int upskill_asks_for_a_server(void) {
    struct sockaddr_un name;
    int yes = 1, well, one = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    strcpy(name.sun_path, "/tmp/upskill-no-server/control");
    if (one < 0 || setsockopt(one, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes)) return 0;
    well = connect(one, (struct sockaddr *)&name, sizeof name) < 0 && errno == ENOENT;
    close(one);
    return well;
}

static int upskill_has_memory_by_a_descriptor(void) {
    int file = memfd_create("upskill", MFD_CLOEXEC);
    int well = file >= 0 && !ftruncate(file, 4096) && mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0) != MAP_FAILED;
    if (file >= 0) close(file);
    return well;
}

/* What is not on this machine need not be there. */
static int upskill_reads(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno == ENOENT;
    close(file);
    return 1;
}

/* Return what was refused, or NULL. `own` makes the name of the socket another one for each library of a process. */
static const char *upskill_refused_at_start(const void *own) {
    static const char *const READ[] = {
        "/proc/self/status", "/proc/self/maps", "/proc/cpuinfo", "/proc/meminfo", "/proc/devices", "/proc/modules",
        "/proc/driver/nvidia/params", "/proc/driver/nvidia-uvm", "/proc/sys/vm/mmap_min_addr",
        "/proc/sys/vm/overcommit_memory", "/proc/filesystems", "/proc/stat", "/sys/devices/system/node",
        "/sys/devices/system/cpu/online", "/sys/devices/system/memory/block_size_bytes", "/sys/bus/pci/devices",
    };
    size_t at;
    for (at = 0; at < sizeof READ / sizeof *READ; ++at)
        if (!upskill_reads(READ[at])) return READ[at];
    if (!upskill_has_memory_by_a_descriptor()) return "memfd_create";
    if (!upskill_names_a_thread()) return "the name of a thread";
    if (!upskill_asks_for_a_server()) return "to ask for a server";
    if (!upskill_listens(own)) return "to listen";
    return NULL;
}

#endif
