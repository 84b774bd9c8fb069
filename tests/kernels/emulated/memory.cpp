// One region, and in it the buffers by their beginnings. What lies between two of them belongs to nobody.
#include "memory.h"

#include <sys/mman.h>

#include <map>

namespace {

constexpr size_t TOTAL = size_t(1) << 30, GRAIN = 512;
char* region;
std::map<char*, size_t> buffers;

char* start() {
    if (!region) {
        // Shared: private memory counts towards the limit on a process's data.
        void* place = mmap(nullptr, TOTAL + 2 * GRAIN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        region = place == MAP_FAILED ? nullptr : static_cast<char*>(place);
    }
    return region;
}

size_t rounded(size_t size) { return (size + GRAIN - 1) / GRAIN * GRAIN; }

}  // namespace

size_t upskill_memory() { return TOTAL; }

bool upskill_allocate(void** place, size_t size) {
    char* at = start();
    if (!at || !size) return false;
    for (const auto& [begin, length] : buffers) {
        if (size_t(begin - at) >= rounded(size)) break;
        at = begin + rounded(length);
    }
    if (at + rounded(size) > region + TOTAL) return false;
    buffers[at] = size;
    *place = at;
    return true;
}

bool upskill_free(void* place) { return buffers.erase(static_cast<char*>(place)); }

bool upskill_holds(const void* place, size_t size) {
    char* at = static_cast<char*>(const_cast<void*>(place));
    auto next = buffers.upper_bound(at);
    if (next == buffers.begin()) return false;
    auto [begin, length] = *--next;
    return size_t(at - begin) <= length && size <= length - size_t(at - begin);
}
