// What an image and the pretended driver know of one another.
#pragma once

struct UpskillDims {
    unsigned x, y, z;
};

// The driver fills it in; the image reads where it is and asks to wait for others.
struct UpskillMachine {
    UpskillDims thread, block, threads, blocks;
    unsigned lane;
    // What all of a block's threads said, once all have come: how many said yes, and how many came.
    struct Votes {
        unsigned yes, all;
    } votes;
    void (*barrier)(int line, bool yes);
    // Each lane of the mask gives a value; the answer is the values of all, and `came` the lanes that gave one.
    const unsigned long long* (*exchange)(unsigned mask, unsigned long long value);
    unsigned came;
    unsigned (*active)();
    void (*trap)(int error);
};

// Bytes of dynamic shared memory that a block may have, and its end, which must stay as it is.
constexpr unsigned UPSKILL_MOST_SHARED = 232448;
constexpr unsigned UPSKILL_SHARED = UPSKILL_MOST_SHARED + 4096;

// Called once for each image that is loaded; the answer is its dynamic shared memory.
using UpskillBind = unsigned char* (*)(UpskillMachine*);
using UpskillStart = void (*)(void** parameters);
