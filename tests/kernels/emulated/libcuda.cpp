// A pretended libcuda: one device, which runs images that were compiled for this very machine.
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "fibers.h"
#include "memory.h"
#include "startup.h"

#define API extern "C" __attribute__((visibility("default")))
using Result = int;
using Address = unsigned long long;

extern "C" __attribute__((visibility("default"))) const int upskill_emulated = 1;

namespace {

constexpr Result OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, UNAVAILABLE = 46, NO_DEVICE = 100,
                 INVALID_DEVICE = 101, INVALID_IMAGE = 200, INVALID_CONTEXT = 201, WRONG_IMAGE = 209,
                 OPERATING_SYSTEM = 304, INVALID_HANDLE = 400, NOT_FOUND = 500, OUT_OF_RESOURCES = 701;

struct Word {
    Result code;
    const char *name, *text;
};
constexpr Word WORDS[] = {
    {OK, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {UNAVAILABLE, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {WRONG_IMAGE, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {OPERATING_SYSTEM, "CUDA_ERROR_OPERATING_SYSTEM", "OS call failed or operation not supported on this OS"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {710, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
};

struct Module {
    void* image;
    unsigned char* shared;
};
struct Function {
    Module* module;
    UpskillStart start;
    int most_shared;
};
struct Event {
    timespec when;
};

bool ready, open_context;
int users = -1;
Result broken, pending;

std::string beside(const char* name) {
    Dl_info found{};
    dladdr(reinterpret_cast<const void*>(&beside), &found);
    std::string path = found.dli_fname ? found.dli_fname : "";
    return path.substr(0, path.rfind('/') + 1) + name;
}

// The file beside the library holds 32 hexadecimal digits: the UUID. It also stands for the device itself: one
// process at a time, as with a real device in the mode "exclusive process".
bool read_uuid(unsigned char* bytes) {
    char digits[33] = {};
    int file = open(beside("uuid").c_str(), O_RDONLY | O_CLOEXEC);
    bool whole = file >= 0 && read(file, digits, 32) == 32;
    if (file >= 0) close(file);
    for (int place = 0; whole && place < 16; ++place) whole = sscanf(digits + 2 * place, "%2hhx", &bytes[place]) == 1;
    return whole;
}

Result usable() { return !ready ? NOT_INITIALIZED : broken ? broken : open_context ? OK : INVALID_CONTEXT; }

Result copied(void* to, const void* from, size_t size, const void* device) {
    if (Result error = usable()) return error;
    if (!upskill_holds(device, size)) return INVALID_VALUE;
    memcpy(to, from, size);
    return OK;
}

int written(const void* image, size_t size) {
    int file = memfd_create("image", MFD_CLOEXEC);
    for (size_t done = 0; file >= 0 && done < size;) {
        ssize_t count = write(file, static_cast<const char*>(image) + done, size - done);
        if (count <= 0) return close(file), -1;
        done += size_t(count);
    }
    return file;
}

const Word* word_of(Result code) {
    for (const Word& word : WORDS)
        if (word.code == code) return &word;
    return nullptr;
}

template <class T> T* at(Address place) { return reinterpret_cast<T*>(place); }

}  // namespace

API Result cuInit(unsigned) {
    unsigned char uuid[16];
    if (!read_uuid(uuid)) return NO_DEVICE;
    static const char* const refused = upskill_refused_at_start(&ready);
    if (refused) return fprintf(stderr, "cuInit: refused: %s\n", refused), OPERATING_SYSTEM;
    ready = true;
    return OK;
}
API Result cuDriverGetVersion(int* version) { return *version = 13000, OK; }
API Result cuGetErrorName(Result code, const char** name) {
    const Word* word = word_of(code);
    return word ? (*name = word->name, OK) : INVALID_VALUE;
}
API Result cuGetErrorString(Result code, const char** text) {
    const Word* word = word_of(code);
    return word ? (*text = word->text, OK) : INVALID_VALUE;
}

API Result cuDeviceGetCount(int* count) { return ready ? (*count = 1, OK) : NOT_INITIALIZED; }
API Result cuDeviceGet(int* device, int index) {
    return !ready ? NOT_INITIALIZED : index ? INVALID_DEVICE : (*device = 0, OK);
}
API Result cuDeviceGetName(char* name, int size, int) { return snprintf(name, size_t(size), "emulated"), OK; }
API Result cuDeviceGetUuid_v2(unsigned char* uuid, int) { return read_uuid(uuid) ? OK : NO_DEVICE; }
API Result cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = upskill_memory(), OK; }
API Result cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case 1: return *value = 1024, OK;
        case 16: return *value = 1, OK;
        case 38: return *value = 256 * 1024, OK;
        case 75: return *value = 9, OK;
        case 76: return *value = 0, OK;
        case 97: return *value = UPSKILL_MOST_SHARED, OK;
        default: return INVALID_VALUE;
    }
}

API Result cuDevicePrimaryCtxRetain(void** context, int) {
    if (!ready) return NOT_INITIALIZED;
    if (users < 0) users = open(beside("uuid").c_str(), O_RDONLY | O_CLOEXEC);
    if (users < 0 || flock(users, LOCK_EX | LOCK_NB)) return UNAVAILABLE;
    *context = &users;
    return OK;
}
API Result cuCtxSetCurrent(void* context) { return context == &users ? (open_context = true, OK) : INVALID_CONTEXT; }
API Result cuCtxSynchronize() {
    fflush(stdout);
    broken = broken ? broken : pending;
    return usable();
}
API Result cuCtxSetLimit(int, size_t) { return usable(); }
API Result cuCtxResetPersistingL2Cache() { return usable(); }

API Result cuMemAlloc_v2(Address* place, size_t size) {
    if (Result error = usable()) return error;
    void* found = nullptr;
    if (!size) return INVALID_VALUE;
    if (!upskill_allocate(&found, size)) return OUT_OF_MEMORY;
    *place = reinterpret_cast<Address>(found);
    return OK;
}
API Result cuMemFree_v2(Address place) {
    if (Result error = usable()) return error;
    return upskill_free(at<void>(place)) ? OK : INVALID_VALUE;
}
API Result cuMemcpyHtoD_v2(Address to, const void* from, size_t size) { return copied(at<void>(to), from, size, at<void>(to)); }
API Result cuMemcpyDtoH_v2(void* to, Address from, size_t size) { return copied(to, at<void>(from), size, at<void>(from)); }
API Result cuMemsetD8Async(Address place, unsigned char value, size_t size, void*) {
    if (Result error = usable()) return error;
    if (!upskill_holds(at<void>(place), size)) return INVALID_VALUE;
    memset(at<void>(place), value, size);
    return OK;
}

API Result cuEventCreate(Event** event, unsigned) { return usable() ? usable() : (*event = new Event{}, OK); }
API Result cuEventDestroy_v2(Event* event) { return delete event, OK; }
API Result cuEventRecord(Event* event, void*) { return clock_gettime(CLOCK_MONOTONIC, &event->when), usable(); }
API Result cuEventElapsedTime(float* milliseconds, Event* start, Event* end) {
    *milliseconds = float(double(end->when.tv_sec - start->when.tv_sec) * 1e3 + double(end->when.tv_nsec - start->when.tv_nsec) / 1e6);
    return usable();
}

API Result cuModuleLoadData(Module** module, const void* image) {
    if (Result error = usable()) return error;
    const auto* head = static_cast<const Elf64_Ehdr*>(image);
    if (memcmp(head->e_ident, ELFMAG, SELFMAG)) return INVALID_IMAGE;
    if (head->e_machine == EM_CUDA) return WRONG_IMAGE;
    int file = written(image, head->e_shoff + size_t(head->e_shnum) * head->e_shentsize);
    if (file < 0) return OUT_OF_MEMORY;
    // By a path that was never seen before: one and the same would give the image that is loaded already.
    std::string path = "/proc/self/fd/" + std::to_string(file);
    void* loaded = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    close(file);
    auto bind = loaded ? reinterpret_cast<UpskillBind>(dlsym(loaded, "upskill_bind")) : nullptr;
    if (!bind) return INVALID_IMAGE;
    *module = new Module{loaded, bind(upskill_machine())};
    return OK;
}
API Result cuModuleUnload(Module* module) {
    dlclose(module->image);
    delete module;
    return usable();
}
API Result cuModuleGetFunction(Function** function, Module* module, const char* name) {
    if (Result error = usable()) return error;
    void* start = dlsym(module->image, ("upskill_start_" + std::string(name)).c_str());
    if (!start) return NOT_FOUND;
    *function = new Function{module, reinterpret_cast<UpskillStart>(start), 48 * 1024};
    return OK;
}
API Result cuFuncGetAttribute(int* value, int attribute, Function*) {
    switch (attribute) {
        case 0: return *value = 1024, OK;
        case 1: return *value = 0, OK;
        case 4: return *value = 32, OK;
        default: return INVALID_VALUE;
    }
}
API Result cuFuncSetAttribute(Function* function, int attribute, int value) {
    if (attribute != 8 || value < 0 || unsigned(value) > UPSKILL_MOST_SHARED) return INVALID_VALUE;
    return function->most_shared = value, OK;
}

API Result cuLaunchKernel(Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned shared, void*, void** parameters, void**) {
    if (Result error = usable()) return error;
    bool any = gx && gy && gz && bx && by && bz;
    if (!any || gx > 2147483647u || gy > 65535 || gz > 65535 || bx > 1024 || by > 1024 || bz > 64) return INVALID_VALUE;
    if (bx * by * bz > 1024 || int(shared) > function->most_shared) return INVALID_VALUE;
    // As with a real device, whatever goes wrong in the kernel is told by the next call that waits for it.
    pending = upskill_run({function->start, parameters, {gx, gy, gz}, {bx, by, bz}, function->module->shared, shared});
    return OK;
}
