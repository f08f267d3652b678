/*
 * The oracle: runs instruction sequences on the host CPU, for tests/Isa.
 *
 *   oracle PID FD     maps the file that descriptor FD of process PID names (a memfd): frames 0 to 2
 *                     hold struct control, the test's frames start at FIRST_FRAME. Each byte on stdin is a
 *                     request; the answer is in the control block, then one byte goes to stdout.
 *
 * Entering and leaving a sequence both go through signal frames: the handler of SIGUSR1 replaces the
 * interrupted context by the wanted state, and sigreturn loads all of it at once (general registers,
 * flags, cs, XSAVE state). The sequence ends with a fault (ud2 at its end, or an earlier one); that
 * handler copies the interrupted state out and puts the caller's context back. So no trampoline code
 * touches the state under test, and 32-bit code needs no more than another cs.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum { PAGE = 4096, FIRST_FRAME = 16, CONTROL_PAGES = 3, MAX_MAPPINGS = 160 };
enum { XSAVE_BYTES = 2752, AVX_OFFSET = 576, AVX_END = 832 };
enum { LEGACY_BYTES = 512, X87_SSE_AVX = 7, AVX512 = 0xe0, HIGH_ZMM = 7, TICK_MICROSECONDS = 100000, TICKS_ALLOWED = 10 };
/* Entries 0 and 1 of this process's LDT, at ring 3. */
enum { FS_SELECTOR = 0 * 8 + 7, GS_SELECTOR = 1 * 8 + 7 };
enum { COMMAND_RUN = 1, COMMAND_MAP = 2 };
enum { STATUS_OK = 0, STATUS_TIMEOUT = 1, STATUS_MAP_FAILED = 2 };

struct state {
    uint64_t gpr[16]; /* in encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8.. */
    uint64_t rip, rflags, fs_base, gs_base;
    uint64_t compatibility; /* 1: 32-bit code */
    uint64_t pad[3];
    uint8_t xsave[XSAVE_BYTES];
};

struct mapping {
    uint64_t va;
    uint32_t frame, protection;
};

struct control {
    uint32_t command, status;
    uint64_t trap, error, cr2, signal;
    uint64_t mapping_count;
    uint64_t pad[122];
    struct state in, out;
    struct mapping mappings[MAX_MAPPINGS];
};

_Static_assert(sizeof(struct state) == 2944, "state layout is shared with NativeRunner.cs");
_Static_assert(offsetof(struct control, in) == 1024, "control layout is shared with NativeRunner.cs");
_Static_assert(offsetof(struct control, mappings) == 6912, "control layout is shared with NativeRunner.cs");
_Static_assert(sizeof(struct control) <= CONTROL_PAGES * PAGE, "control fits its frames");

static const int order[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static struct control *control;
static int memory_fd;
static uint64_t own_fs, own_gs;
static ucontext_t caller;
static uint8_t caller_legacy[LEGACY_BYTES];
static volatile sig_atomic_t inside;
static volatile sig_atomic_t ticks;
static struct mapping mapped[MAX_MAPPINGS];
static uint64_t mapped_count;
/* State that the kernel enables and this file handles; where it ends in an XSAVE area in standard format. */
static uint64_t components = X87_SSE_AVX;
static size_t state_end = AVX_END;
static uint8_t alternate_stack[1 << 16] __attribute__((aligned(64)));

static inline uint64_t read_fs(void)
{
    uint64_t v;
    asm volatile("rdfsbase %0" : "=r"(v));
    return v;
}

static inline uint64_t read_gs(void)
{
    uint64_t v;
    asm volatile("rdgsbase %0" : "=r"(v));
    return v;
}

static inline void write_bases(uint64_t fs, uint64_t gs)
{
    asm volatile("wrfsbase %0; wrgsbase %1" : : "r"(fs), "r"(gs) : "memory");
}

/* The frame's fpregs is an XSAVE area in standard format as long as xstate_bv is valid in it. */
static uint64_t *xstate_bv(uint8_t *area) { return (uint64_t *)(area + LEGACY_BYTES); }

static void load_vectors(uint8_t *area, const uint8_t *from)
{
    /* Bytes 464..511 are the kernel's own record of the frame: not ours to replace. */
    memcpy(area, from, 464);
    memcpy(area + AVX_OFFSET, from + AVX_OFFSET, state_end - AVX_OFFSET);
    *xstate_bv(area) = from[LEGACY_BYTES] & components;
}

static void store_vectors(uint8_t *to, const uint8_t *area)
{
    memcpy(to, area, state_end);
    memset(to + 464, 0, 48);
}

static void set_segments(greg_t *gregs, uint64_t compatibility)
{
    uint16_t segments[4];
    memcpy(segments, &gregs[REG_CSGSFS], sizeof segments);
    segments[0] = compatibility ? 0x23 : 0x33;
    segments[3] = 0x2b; /* ss */
    memcpy(&gregs[REG_CSGSFS], segments, sizeof segments);
}

/*
 * 32-bit code needs real segments: flat data in ds and es, and descriptors with a base for fs and gs. A
 * selector load also changes the base, so 64-bit code gets null selectors and its bases afterwards.
 */
static void load_selectors(uint16_t data, uint16_t fs, uint16_t gs)
{
    asm volatile("mov %0, %%ds; mov %0, %%es; mov %1, %%fs; mov %2, %%gs" : : "r"(data), "r"(fs), "r"(gs) : "memory");
}

static void on_enter(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    ucontext_t *uc = context;
    const struct state *in = &control->in;
    memcpy(&caller, uc, offsetof(ucontext_t, __fpregs_mem));
    memcpy(caller_legacy, uc->uc_mcontext.fpregs, LEGACY_BYTES);
    for (int i = 0; i < 16; i++) {
        uc->uc_mcontext.gregs[order[i]] = (greg_t)in->gpr[i];
    }
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)in->rip;
    uc->uc_mcontext.gregs[REG_EFL] = (greg_t)in->rflags;
    set_segments(uc->uc_mcontext.gregs, in->compatibility);
    load_vectors((uint8_t *)uc->uc_mcontext.fpregs, in->xsave);
    ticks = 0;
    inside = 1;
    if (in->compatibility) {
        load_selectors(0x2b, FS_SELECTOR, GS_SELECTOR);
    } else {
        write_bases(in->fs_base, in->gs_base);
    }
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)info;
    ucontext_t *uc = context;
    struct state *out = &control->out;
    if (signal == SIGPROF && (!inside || ++ticks < TICKS_ALLOWED)) {
        return;
    }
    if (!inside) {
        _exit(100 + signal); /* the oracle itself is broken */
    }
    out->fs_base = read_fs();
    out->gs_base = read_gs();
    load_selectors(0, 0, 0);
    write_bases(own_fs, own_gs);
    inside = 0;
    for (int i = 0; i < 16; i++) {
        out->gpr[i] = (uint64_t)uc->uc_mcontext.gregs[order[i]];
    }
    out->rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    out->rflags = (uint64_t)uc->uc_mcontext.gregs[REG_EFL];
    store_vectors(out->xsave, (const uint8_t *)uc->uc_mcontext.fpregs);
    control->status = signal == SIGPROF ? STATUS_TIMEOUT : STATUS_OK;
    control->signal = (uint64_t)signal;
    control->trap = (uint64_t)uc->uc_mcontext.gregs[REG_TRAPNO];
    control->error = (uint64_t)uc->uc_mcontext.gregs[REG_ERR];
    control->cr2 = (uint64_t)uc->uc_mcontext.gregs[REG_CR2];

    fpregset_t area = uc->uc_mcontext.fpregs;
    memcpy(uc, &caller, offsetof(ucontext_t, __fpregs_mem));
    uc->uc_mcontext.fpregs = area;
    memcpy(area, caller_legacy, 464);
}

/*
 * sigreturn leaves NT and ID as they are: they are set here, in this program's own flags, and cleared
 * after the run, whatever the sequence left in them.
 */
static void set_own_flags(uint64_t flags)
{
    flags &= 0x204000;
    asm volatile("pushfq\n\tandq $~0x204000, (%%rsp)\n\torq %0, (%%rsp)\n\tpopfq" : : "r"(flags) : "cc", "memory");
}

/* A flat 32-bit data segment with a base; entry 0 is the one for fs, 1 for gs. */
static void set_segment_base(unsigned entry, uint64_t base)
{
    struct user_desc d = {
        .entry_number = entry, .base_addr = (unsigned)base, .limit = 0xfffff, .seg_32bit = 1,
        .limit_in_pages = 1, .useable = 1,
    };
    if (syscall(SYS_modify_ldt, 1 /* write */, &d, sizeof d) != 0) {
        perror("oracle: modify_ldt");
        exit(1);
    }
}

static void unmap_all(void)
{
    for (uint64_t i = 0; i < mapped_count; i++) {
        munmap((void *)mapped[i].va, PAGE);
    }
    mapped_count = 0;
}

static uint32_t map_all(void)
{
    unmap_all();
    for (uint64_t i = 0; i < control->mapping_count && i < MAX_MAPPINGS; i++) {
        struct mapping m = control->mappings[i];
        void *p = mmap((void *)m.va, PAGE, (int)m.protection, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE,
                       memory_fd, (off_t)(FIRST_FRAME + m.frame) * PAGE);
        if (p != (void *)m.va) {
            fprintf(stderr, "oracle: mmap of %#lx: %s\n", (unsigned long)m.va, strerror(errno));
            return STATUS_MAP_FAILED;
        }
        mapped[mapped_count++] = m;
    }
    return STATUS_OK;
}

static void find_components(void)
{
    uint32_t low, high, bytes, offset, c, d;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & AVX512) == AVX512) {
        __cpuid_count(0xd, HIGH_ZMM, bytes, offset, c, d);
        if (offset + bytes <= XSAVE_BYTES) {
            components |= AVX512;
            state_end = offset + bytes;
        }
    }
}

static void install(int signal, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    if (sigaction(signal, &action, NULL) != 0) {
        perror("oracle: sigaction");
        exit(1);
    }
}

static void prepare(void)
{
    static const int ends[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPROF};
    stack_t stack = {.ss_sp = alternate_stack, .ss_size = sizeof alternate_stack};
    struct itimerval timer = {{0, TICK_MICROSECONDS}, {0, TICK_MICROSECONDS}};
    if (sigaltstack(&stack, NULL) != 0) {
        perror("oracle: sigaltstack");
        exit(1);
    }
    find_components();
    install(SIGUSR1, on_enter);
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        install(ends[i], on_fault);
    }
    setitimer(ITIMER_PROF, &timer, NULL);
    own_fs = read_fs();
    own_gs = read_gs();
    /* A sequence that strays into a system call must not reach the kernel: only code above the test's
       addresses (this program and libc) may. */
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0x500000000000, 0x2fffffffffff, 0) != 0) {
        perror("oracle: system call dispatch (harmless)");
    }
}

static int read_request(void)
{
    uint8_t byte;
    for (;;) {
        ssize_t n = read(0, &byte, 1);
        if (n == 1) {
            return 1;
        }
        if (n == 0 || errno != EINTR) {
            return 0;
        }
    }
}

int main(int argc, char **argv)
{
    char path[64];
    if (argc != 3) {
        fprintf(stderr, "usage: oracle PID FD\n");
        return 2;
    }
    snprintf(path, sizeof path, "/proc/%s/fd/%s", argv[1], argv[2]);
    memory_fd = open(path, O_RDWR | O_CLOEXEC);
    if (memory_fd < 0) {
        fprintf(stderr, "oracle: %s: %s\n", path, strerror(errno));
        return 2;
    }
    control = mmap(NULL, CONTROL_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory_fd, 0);
    if (control == MAP_FAILED) {
        perror("oracle: mmap");
        return 2;
    }
    prepare();
    while (read_request()) {
        if (control->command == COMMAND_MAP) {
            control->status = map_all();
        } else {
            pid_t process = getpid(), thread = (pid_t)syscall(SYS_gettid);
            if (control->in.compatibility) {
                set_segment_base(0, control->in.fs_base);
                set_segment_base(1, control->in.gs_base);
            }
            set_own_flags(control->in.rflags);
            syscall(SYS_tgkill, process, thread, SIGUSR1);
            set_own_flags(0);
        }
        if (write(1, "", 1) != 1) {
            return 1;
        }
    }
    return 0;
}
