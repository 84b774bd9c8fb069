// The threads of a launch: fibers that wait for one another at barriers, one block after another.
#pragma once
#include "abi.h"

struct UpskillLaunch {
    UpskillStart start;
    void** parameters;
    UpskillDims grid, block;
    unsigned char* shared;
    unsigned shared_size;
};

UpskillMachine* upskill_machine();
// The CUDA error with which the launch ended, 0 for none.
int upskill_run(const UpskillLaunch& launch);
