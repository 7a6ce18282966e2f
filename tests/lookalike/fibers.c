/* Fibers in lockstep. A meeting point is a barrier, an exchange, or the end of a thread. In a legal kernel no thread
 * passes a meeting point before all threads of its team came to the same one; at a barrier or an end, all threads of
 * the group. So the threads of a team run in turn, each up to its next meeting point. If that is an exchange, the same
 * team goes on; otherwise the next team runs, and after the last team all begin again. A fiber is made once, and serves
 * every group that runs later. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "fibers.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

/* Where a thread that does not run has stopped. */
typedef struct context {
#ifdef __x86_64__
    void *stack_pointer;
#else
    ucontext_t registers;
#endif
    void *stack; /* its lowest byte, and its size, for the address sanitizer */
    size_t stack_bytes;
    void *fake_stack; /* the address sanitizer's */
} context;

typedef enum { EXCHANGE, BARRIER, END } meeting_kind;

typedef struct meeting {
    meeting_kind kind;
    const char *what; /* the function that the kernel called at the meeting point */
} meeting;

typedef struct team_state {
    meeting met; /* where its first thread arrived; all its other threads must arrive there, too */
    uint32_t turn;
    unsigned char shared[2][FIBERS_TEAM][FIBERS_SHARED]; /* a turn fills one; threads may still read the other */
} team_state;

static pthread_mutex_t one_group = PTHREAD_MUTEX_INITIALIZER;
static struct {
    const char *kernel; /* NULL: none runs */
    void (*entry)(void *user, uint32_t thread);
    void *user;
    uint32_t n_threads, position; /* the order in which the threads run */
    bool reversed;
    meeting met; /* where the threads of the first team arrived last */
    context host;
    context *previous; /* the context before the last switch */
} group;
static team_state teams[FIBERS_MOST / FIBERS_TEAM];
static context fibers[FIBERS_MOST];
static uint32_t n_fibers;

void fibers_fatal(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs("look-alike: ", stderr);
    if (group.kernel) fprintf(stderr, "kernel %s: ", group.kernel);
    vfprintf(stderr, format, args);
    putc('\n', stderr);
    va_end(args);
    abort();
}

/* ------------------------------------------------------------------------------------------ switching contexts */

#ifdef __x86_64__
/* Saves the registers that a call must preserve on the stack, and continues with those that another context saved
 * (System V ABI, AMD64, 3.2.1). ucontext(3) would make two system calls each time. */
void fibers_switch_stacks(void **save, void *resume);
__asm__(".text\n"
        ".type fibers_switch_stacks, @function\n"
        ".hidden fibers_switch_stacks\n"
        ".globl fibers_switch_stacks\n"
        "fibers_switch_stacks:\n"
        "    push %rbp\n"
        "    push %rbx\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    ret\n"
        ".size fibers_switch_stacks, . - fibers_switch_stacks\n");
#endif

/* Must be called first after every switch, in the context that begins to run. */
static void arrive(context *self) {
#ifdef WITH_ASAN
    const void *stack;
    size_t stack_bytes;
    __sanitizer_finish_switch_fiber(self->fake_stack, &stack, &stack_bytes);
    memcpy(&group.previous->stack, &stack, sizeof stack);
    group.previous->stack_bytes = stack_bytes;
#else
    (void)self;
#endif
}

static void switch_to(context *from, context *to) {
    if (from == to) return;
    group.previous = from;
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
#endif
#ifdef __x86_64__
    fibers_switch_stacks(&from->stack_pointer, to->stack_pointer);
#else
    swapcontext(&from->registers, &to->registers);
#endif
    arrive(from);
}

static void fiber_main(void);

/* A guard page lies below the stack. */
static void make_fiber(context *fiber) {
    const size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *memory =
        mmap(NULL, guard + FIBERS_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, guard, PROT_NONE) != 0) fibers_fatal("no memory for a thread's stack");
    fiber->stack = memory + guard;
    fiber->stack_bytes = FIBERS_STACK;
    fiber->fake_stack = NULL;
#ifdef __x86_64__
    /* The stack looks as if address 0 had called fiber_main, which switched away at once, with six registers saved. */
    void *top[8] = {NULL, NULL, NULL, NULL, NULL, NULL, (void *)fiber_main, NULL};
    fiber->stack_pointer = memory + guard + FIBERS_STACK - sizeof top;
    memcpy(fiber->stack_pointer, top, sizeof top);
#else
    getcontext(&fiber->registers);
    fiber->registers.uc_stack.ss_sp = fiber->stack;
    fiber->registers.uc_stack.ss_size = fiber->stack_bytes;
    makecontext(&fiber->registers, fiber_main, 0);
#endif
}

/* ----------------------------------------------------------------------------------------------- meeting points */

static uint32_t thread_at(uint32_t position) { return group.reversed ? group.n_threads - 1 - position : position; }

uint32_t fibers_thread(void) { return thread_at(group.position); }

bool fibers_first(void) { return group.position == 0; }

static team_state *own_team(void) { return &teams[group.position / FIBERS_TEAM]; }

static const char *name_of(meeting met) {
    return met.kind == BARRIER ? "a barrier" : met.kind == END ? "the end of the kernel" : met.what;
}

static bool same_meeting(meeting a, meeting b) {
    return a.kind == b.kind && (a.kind != EXCHANGE || a.what == b.what || strcmp(a.what, b.what) == 0);
}

static void check_meeting(meeting mine, meeting other, uint32_t other_position) {
    if (!same_meeting(mine, other))
        fibers_fatal("threads diverge: thread %u reaches %s, but thread %u reaches %s", fibers_thread(), name_of(mine),
                     thread_at(other_position), name_of(other));
}

/* Leaves the thread at a meeting point until its next turn. */
static void meet(meeting mine) {
    const uint32_t position = group.position, lane = position % FIBERS_TEAM;
    team_state *team = own_team();
    if (lane == 0) {
        team->met = mine;
        if (position == 0)
            group.met = mine;
        else if (mine.kind != EXCHANGE)
            check_meeting(mine, group.met, 0);
    } else {
        check_meeting(mine, team->met, position - lane);
    }
    const bool last_of_team = lane == FIBERS_TEAM - 1, last = position == group.n_threads - 1;
    context *next = NULL;
    if (last_of_team && mine.kind == EXCHANGE)
        group.position = position - lane;
    else if (!last)
        group.position = position + 1;
    else if (mine.kind == BARRIER)
        group.position = 0;
    else
        next = &group.host;
    switch_to(&fibers[position], next ? next : &fibers[group.position]);
}

static void fiber_main(void) {
    arrive(&fibers[group.position]);
    for (;;) {
        group.entry(group.user, fibers_thread());
        meet((meeting){.kind = END});
    }
}

void fibers_barrier(void) { meet((meeting){.kind = BARRIER}); }

/* A turn may overwrite the values of the turn before the last only after all threads have read them. They have, because
 * all of them reached the last turn. */
const void *fibers_share(const char *what, const void *value, size_t n_bytes) {
    team_state *team = own_team();
    const uint32_t lane = group.position % FIBERS_TEAM;
    if (n_bytes > FIBERS_SHARED) fibers_fatal("%s shares %zu bytes, more than %d", what, n_bytes, FIBERS_SHARED);
    if (lane == 0) team->turn ^= 1;
    const uint32_t turn = team->turn;
    memcpy(team->shared[turn][fibers_thread() % FIBERS_TEAM], value, n_bytes);
    meet((meeting){.kind = EXCHANGE, .what = what});
    return team->shared[turn];
}

float fibers_exchange(const char *what, float value, uint32_t from) {
    const unsigned char *shared = fibers_share(what, &value, sizeof value);
    if (from >= FIBERS_TEAM) fibers_fatal("%s reads from thread %u of a team", what, from);
    memcpy(&value, shared + (size_t)from * FIBERS_SHARED, sizeof value);
    return value;
}

void fibers_run_group(const char *kernel, uint32_t n_threads, bool reversed, void (*entry)(void *user, uint32_t thread),
                      void *user) {
    if (n_threads == 0 || n_threads > FIBERS_MOST || n_threads % FIBERS_TEAM != 0)
        fibers_fatal("kernel %s: a group of %u threads, which is no multiple of %d up to %d", kernel, n_threads,
                     FIBERS_TEAM, FIBERS_MOST);
    pthread_mutex_lock(&one_group);
    while (n_fibers < n_threads) make_fiber(&fibers[n_fibers++]);
    group.kernel = kernel;
    group.entry = entry;
    group.user = user;
    group.n_threads = n_threads;
    group.reversed = reversed;
    group.position = 0;
    switch_to(&group.host, &fibers[0]);
    group.kernel = NULL;
    pthread_mutex_unlock(&one_group);
}
