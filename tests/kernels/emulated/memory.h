// The memory of the pretended device: freed memory is handed out again first, with what it held.
#pragma once
#include <cstddef>

bool upskill_allocate(void** place, size_t size);
bool upskill_free(void* place);
// Whether all of these bytes lie in one buffer that is handed out.
bool upskill_holds(const void* place, size_t size);
size_t upskill_memory();
