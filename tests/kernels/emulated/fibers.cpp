// Fibers: made by makecontext, changed by setjmp and longjmp, which ask nothing of the kernel.
#include "fibers.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <memory>
#include <vector>

namespace {

constexpr size_t STACK = 128 * 1024, GUARD = 4096;
constexpr int ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719;
constexpr unsigned char UNTOUCHED = 0xb7;

enum class State { ready, at_barrier, at_exchange, done };

struct Fiber {
    State state = State::done;
    bool born = false;
    int line = 0;
    bool yes = false;
    unsigned mask = 0, came = 0, number = 0;
    unsigned long long value = 0;
    UpskillDims thread{};
    jmp_buf here;
    ucontext_t context;
    char* stack = nullptr;
};

struct Warp {
    unsigned long long seen[32];
};

UpskillMachine machine;
std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Warp> warps;
Fiber* current;
const UpskillLaunch* launch;
jmp_buf scheduler;
volatile int failure;

void back_to_scheduler() {
    if (!_setjmp(current->here)) _longjmp(scheduler, 1);
}

void fail(int error) {
    failure = error;
    _longjmp(scheduler, 1);
}

void barrier(int line, bool yes) {
    current->line = line;
    current->yes = yes;
    current->state = State::at_barrier;
    back_to_scheduler();
}

const unsigned long long* exchange(unsigned mask, unsigned long long value) {
    current->mask = mask;
    current->value = value;
    current->state = State::at_exchange;
    back_to_scheduler();
    machine.came = current->came;
    return warps[current->number / 32].seen;
}

template <class Visit> void lanes_of(unsigned warp, unsigned count, Visit visit) {
    for (unsigned lane = 0; lane < 32 && warp * 32 + lane < count; ++lane) visit(*fibers[warp * 32 + lane], lane);
}

unsigned threads() { return launch->block.x * launch->block.y * launch->block.z; }

unsigned active() {
    unsigned mask = 0;
    lanes_of(current->number / 32, threads(), [&](Fiber& fiber, unsigned lane) {
        if (fiber.state != State::done) mask |= 1u << lane;
    });
    return mask;
}

void whole_life() {
    for (;;) {
        launch->start(launch->parameters);
        current->state = State::done;
        back_to_scheduler();
    }
}

void give_birth(Fiber& fiber) {
    if (!fiber.stack) {
        void* place = mmap(nullptr, STACK + GUARD, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        mprotect(place, GUARD, PROT_NONE);
        fiber.stack = static_cast<char*>(place) + GUARD;
    }
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, whole_life, 0);
    fiber.born = true;
    setcontext(&fiber.context);
}

void resume(Fiber& fiber) {
    current = &fiber;
    machine.thread = fiber.thread;
    machine.lane = fiber.number % 32;
    if (_setjmp(scheduler)) return;
    if (fiber.born) _longjmp(fiber.here, 1);
    give_birth(fiber);
}

// Lets go of the lanes that wait for one another, all that are named and still run having come.
bool release_lanes(unsigned warp, unsigned count) {
    unsigned alive = 0, freed = 0;
    lanes_of(warp, count, [&](Fiber& fiber, unsigned lane) { alive |= (fiber.state != State::done) << lane; });
    lanes_of(warp, count, [&](Fiber& fiber, unsigned lane) {
        if (fiber.state != State::at_exchange || freed >> lane & 1) return;
        unsigned mask = fiber.mask & alive, came = 0;
        lanes_of(warp, count, [&](Fiber& other, unsigned place) {
            if (other.state == State::at_exchange && other.mask == fiber.mask) came |= (mask >> place & 1) << place;
        });
        if (came != mask) return;
        lanes_of(warp, count, [&](Fiber& other, unsigned place) {
            if (!(mask >> place & 1)) return;
            warps[warp].seen[place] = other.value;
            other.came = mask;
            other.state = State::ready;
        });
        freed |= mask;
    });
    return freed;
}

bool release_block(unsigned count) {
    unsigned yes = 0, all = 0;
    int line = 0;
    for (unsigned number = 0; number < count; ++number) {
        const Fiber& fiber = *fibers[number];
        if (fiber.state == State::done) continue;
        if (fiber.state != State::at_barrier || (all && fiber.line != line)) return false;
        line = fiber.line;
        yes += fiber.yes;
        ++all;
    }
    machine.votes = {yes, all};
    for (unsigned number = 0; number < count; ++number)
        if (fibers[number]->state == State::at_barrier) fibers[number]->state = State::ready;
    return all;
}

void prepare(unsigned count) {
    while (fibers.size() < count) fibers.push_back(std::make_unique<Fiber>());
    warps.resize((count + 31) / 32);
    const UpskillDims& block = launch->block;
    for (unsigned number = 0; number < count; ++number) {
        Fiber& fiber = *fibers[number];
        fiber.state = State::ready;
        fiber.number = number;
        fiber.thread = {number % block.x, number / block.x % block.y, number / block.x / block.y};
    }
    memset(launch->shared, UNTOUCHED, launch->shared_size);
}

bool beyond_shared() {
    for (unsigned place = launch->shared_size; place < launch->shared_size + 4096; ++place)
        if (launch->shared[place] != UNTOUCHED) return true;
    return false;
}

void run_block(unsigned count) {
    prepare(count);
    for (bool moved = true; moved;) {
        for (unsigned number = 0; number < count; ++number) {
            if (fibers[number]->state == State::ready) resume(*fibers[number]);
            if (failure) return;
        }
        moved = false;
        for (unsigned warp = 0; warp < warps.size(); ++warp) moved |= release_lanes(warp, count);
        moved = moved || release_block(count);
    }
    // Whoever still waits waits for ever: a barrier that not all threads come to.
    for (unsigned number = 0; number < count; ++number)
        if (fibers[number]->state != State::done) failure = LAUNCH_FAILED;
}

void run_grid() {
    const UpskillDims& grid = launch->grid;
    memset(launch->shared, UNTOUCHED, UPSKILL_SHARED);
    for (unsigned z = 0; z < grid.z; ++z)
        for (unsigned y = 0; y < grid.y; ++y)
            for (unsigned x = 0; x < grid.x && !failure; ++x) {
                machine.block = {x, y, z};
                run_block(threads());
                if (!failure && beyond_shared()) failure = ILLEGAL_ADDRESS;
            }
}

void on_bad_address(int) { fail(ILLEGAL_ADDRESS); }

}  // namespace

UpskillMachine* upskill_machine() {
    machine.barrier = barrier;
    machine.exchange = exchange;
    machine.active = active;
    machine.trap = fail;
    return &machine;
}

int upskill_run(const UpskillLaunch& wanted) {
    static char alternate[65536];
    stack_t stack{}, old_stack;
    stack.ss_sp = alternate;
    stack.ss_size = sizeof alternate;
    struct sigaction caught{}, old_fault, old_bus;
    caught.sa_handler = on_bad_address;
    caught.sa_flags = SA_ONSTACK | SA_NODEFER;
    sigaltstack(&stack, &old_stack);
    sigaction(SIGSEGV, &caught, &old_fault);
    sigaction(SIGBUS, &caught, &old_bus);
    launch = &wanted;
    failure = 0;
    machine.threads = wanted.block;
    machine.blocks = wanted.grid;
    run_grid();
    if (failure)
        for (auto& fiber : fibers) fiber->born = false;
    sigaction(SIGBUS, &old_bus, nullptr);
    sigaction(SIGSEGV, &old_fault, nullptr);
    sigaltstack(&old_stack, nullptr);
    return failure;
}
