/* AMX in software: executes, one by one, the AMX instructions that a CPU without them refuses (SIGILL), as Intel's Software
   Developer's Manual defines them. Everything is per thread, as the registers are. What the CPU would refuse (tiles without a
   configuration, sizes that do not fit, any other unknown instruction) ends the process with a line that says so. */

#define _GNU_SOURCE
#include <immintrin.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { LDTILECFG, STTILECFG, TILERELEASE, TILEZERO, TILELOADD, TILESTORED, TDPBF16PS, KINDS };

struct configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t colsb[16];
    uint8_t rows[16];
};

static __thread struct configuration config;
static __thread uint8_t tile[8][16][64];
static __thread int seen;

long amx_counts[KINDS]; /* instructions executed */
long amx_threads;       /* threads that executed any */

static void fail(const char *reason, const uint8_t *at)
{
    char line[200];
    int n = snprintf(line, sizeof line, "amx_trap: %s at", reason);
    for (int i = 0; i < 10; i++)
        n += snprintf(line + n, sizeof line - n, " %02x", at[i]);
    line[n++] = '\n';
    if (write(2, line, n) < 0)
        _exit(3);
    abort();
}

static void check(int holds, const char *reason, const uint8_t *at)
{
    if (!holds)
        fail(reason, at);
}

static void check_tile(int t, const uint8_t *at)
{
    check(config.palette == 1, "tiles are not configured", at);
    check(t < 8 && config.rows[t] && config.colsb[t], "a tile without a shape", at);
}

static void load_configuration(const void *memory, const uint8_t *at)
{
    struct configuration new;
    memcpy(&new, memory, 64);
    check(new.palette <= 1, "an unknown palette", at);
    if (new.palette == 0)
        memset(&new, 0, 64);
    for (int i = 0; i < 14; i++)
        check(new.reserved[i] == 0, "reserved bytes of the configuration are set", at);
    for (int t = 0; t < 16; t++) {
        check(t < 8 || (!new.rows[t] && !new.colsb[t]), "more than eight tiles are configured", at);
        check(new.rows[t] <= 16 && new.colsb[t] <= 64, "a tile of more than 16 rows or 64 bytes a row", at);
        check(!new.rows[t] == !new.colsb[t], "a tile with rows and no columns, or the reverse", at);
    }
    config = new;
    memset(tile, 0, sizeof tile);
}

static float from_bf16(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, 4);
    return value;
}

/* C (m x n) += A (m x k) . B (k x n), of pairs of bf16: even and odd halves of all pairs are summed apart, then together, then
   added to C, each sum and each fused multiply-add rounded to nearest, denormals as zero going in and coming out. */
static void multiply(int c, int a, int b, const uint8_t *at)
{
    check_tile(c, at);
    check_tile(a, at);
    check_tile(b, at);
    check(a != b && a != c && b != c, "the three tiles are not different ones", at);
    int rows = config.rows[c], columns = config.colsb[c] / 4, depth = config.colsb[a] / 4;
    check(config.colsb[c] % 4 == 0 && config.colsb[a] % 4 == 0 && config.colsb[b] % 4 == 0, "columns are cut", at);
    check(config.rows[a] == rows && config.colsb[b] == config.colsb[c] && config.rows[b] == depth, "sizes do not fit", at);
    for (int m = 0; m < rows; m++) {
        float sums[2][16] = {{0}}, left[32], right[32], old[16];
        uint16_t bits[32];
        memcpy(bits, tile[a][m], 64);
        for (int i = 0; i < 32; i++)
            left[i] = from_bf16(bits[i]);
        for (int k = 0; k < depth; k++) {
            memcpy(bits, tile[b][k], 64);
            for (int i = 0; i < 32; i++)
                right[i] = from_bf16(bits[i]);
            for (int n = 0; n < columns; n++)
                for (int half = 0; half < 2; half++)
                    sums[half][n] = __builtin_fmaf(left[2 * k + half], right[2 * n + half], sums[half][n]);
        }
        memcpy(old, tile[c][m], 64);
        for (int n = 0; n < columns; n++) {
            float both = sums[0][n] + sums[1][n];
            old[n] = old[n] + both;
        }
        memset(tile[c][m], 0, 64);
        memcpy(tile[c][m], old, 4 * columns);
    }
    for (int m = rows; m < 16; m++)
        memset(tile[c][m], 0, 64);
}

static void on_illegal_instruction(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    static const int number[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                   REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *at = (const uint8_t *)registers[REG_RIP], *next = at + 5;
    _mm_setcsr(0x9fc0); /* denormals are zero, results flushed to zero, to nearest, nothing raised; reset on return */

    /* VEX of three bytes: C4, ~R ~X ~B and the map (0F 38 is 2), W ~vvvv L and the prefix that it stands for. */
    check(at[0] == 0xc4 && (at[1] & 31) == 2, "an illegal instruction", at);
    int R = ~at[1] >> 7 & 1, X = ~at[1] >> 6 & 1, B = ~at[1] >> 5 & 1;
    int W = at[2] >> 7, vvvv = ~at[2] >> 3 & 15, L = at[2] >> 2 & 1, prefix = at[2] & 3; /* none, 66, F3, F2 */
    int opcode = at[3], mod = at[4] >> 6, reg = at[4] >> 3 & 7, rm = at[4] & 7, has_sib = mod != 3 && rm == 4;
    check(!W && !L && (opcode == 0x49 || opcode == 0x4b || opcode == 0x5c), "an illegal instruction", at);
    check(opcode == 0x5c || vvvv == 0, "an illegal instruction", at);

    char *address = NULL;
    int64_t stride = 0;
    if (mod != 3) {
        int base = rm | B << 3, wide = mod == 2;
        int64_t index = 0;
        if (has_sib) {
            int sib = *next++, which = (sib >> 3 & 7) | X << 3;
            base = (sib & 7) | B << 3;
            if (which != 4)
                index = registers[number[which]] << (sib >> 6);
        }
        int64_t start = 0;
        int relative = 0;
        if (mod == 0 && (base & 7) == 5) { /* no base: an address, or one relative to the next instruction */
            wide = 1;
            relative = !has_sib;
        } else
            start = registers[number[base]];
        int32_t displacement = 0;
        if (wide) {
            memcpy(&displacement, next, 4);
            next += 4;
        } else if (mod == 1)
            displacement = (int8_t)*next++;
        start += displacement + (relative ? (int64_t)next : 0);
        if (opcode == 0x4b)
            stride = index; /* the index register of a tile's load or store is the distance of its rows */
        else
            start += index;
        address = (char *)start;
    }

    int kind = KINDS, t = reg | R << 3;
    if (opcode == 0x49 && mod != 3 && reg == 0 && prefix == 0) {
        kind = LDTILECFG;
        load_configuration(address, at);
    } else if (opcode == 0x49 && mod != 3 && reg == 0 && prefix == 1) {
        kind = STTILECFG;
        memcpy(address, &config, 64);
    } else if (opcode == 0x49 && at[4] == 0xc0 && prefix == 0) {
        kind = TILERELEASE;
        memset(&config, 0, 64);
        memset(tile, 0, sizeof tile);
    } else if (opcode == 0x49 && mod == 3 && rm == 0 && prefix == 3) {
        kind = TILEZERO;
        check_tile(t, at);
        memset(tile[t], 0, sizeof tile[t]);
    } else if (opcode == 0x4b && has_sib && (prefix == 3 || prefix == 1)) { /* 66: with a hint for the cache */
        kind = TILELOADD;
        check_tile(t, at);
        memset(tile[t], 0, sizeof tile[t]);
        for (int i = 0; i < config.rows[t]; i++)
            memcpy(tile[t][i], address + i * stride, config.colsb[t]);
    } else if (opcode == 0x4b && has_sib && prefix == 2) {
        kind = TILESTORED;
        check_tile(t, at);
        for (int i = 0; i < config.rows[t]; i++)
            memcpy(address + i * stride, tile[t][i], config.colsb[t]);
    } else if (opcode == 0x5c && mod == 3 && prefix == 2) {
        kind = TDPBF16PS;
        multiply(t, rm | B << 3, vvvv, at);
    } else
        fail("an illegal instruction", at);

    __atomic_fetch_add(&amx_counts[kind], 1, __ATOMIC_RELAXED);
    if (!seen) {
        seen = 1;
        __atomic_fetch_add(&amx_threads, 1, __ATOMIC_RELAXED);
    }
    registers[REG_RIP] = (greg_t)next;
}

/* What another library may do between two products: give the calling thread's tiles another shape. */
void amx_disturb(void)
{
    memset(&config, 0, 64);
    config.palette = 1;
    config.rows[0] = config.colsb[0] = 4;
}

int amx_install(void)
{
    struct sigaction action = {.sa_sigaction = on_illegal_instruction, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGILL, &action, NULL);
}
