// What glibc's Swift module leaves out.
#pragma once
#include <fcntl.h>
#include <linux/stat.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <wchar.h>

/// When an open file was made, in nanoseconds since 1970; 0 where the file system does not keep it. No call can set it,
/// so a copy of a file always has another.
static inline int64_t syncnode_birth_nanoseconds(int file) {
    struct statx status;
    // 0x1000 is AT_EMPTY_PATH: the descriptor itself.
    if (syscall(SYS_statx, file, "", 0x1000, STATX_BTIME, &status) != 0) return 0;
    if (!(status.stx_mask & STATX_BTIME)) return 0;
    return status.stx_btime.tv_sec * 1000000000LL + status.stx_btime.tv_nsec;
}

/// How many columns of a terminal a character takes, in the locale that is set; -1 where it is none that can be shown. glibc declares
/// this one only to programs that ask for X/Open, which a module cannot.
extern int wcwidth(wchar_t character);
