/* Lets a User-Mode Linux that was made for smaller processors run here; preloaded into it.
 *
 * It saves and restores its processes' extended registers by ptrace, in a buffer that holds everything up to AVX-512. The
 * kernel below gives as much of the state as fits, but takes back only the whole: on a processor with AMX, whose tiles make it
 * 11 KB, each restore fails (EFAULT), and with the first one User-Mode Linux panics. Here the part is laid over
 * the rest of what the process has now. That rest are the tiles, which need a permission that nobody in there has.
 */
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char whole[65536];

static long call(long request, long pid, void *address, void *data) {
  return syscall(SYS_ptrace, request, pid, address, data);
}

long ptrace(enum __ptrace_request request, ...) {
  va_list rest;
  va_start(rest, request);
  long pid = va_arg(rest, pid_t);
  void *address = va_arg(rest, void *);
  void *data = va_arg(rest, void *);
  va_end(rest);

  if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
    long word; /* the C library returns what the kernel stores */
    if (call(request, pid, address, &word) != 0) return -1;
    errno = 0;
    return word;
  }
  long result = call(request, pid, address, data);
  if (result == 0 || request != PTRACE_SETREGSET || (long)address != NT_X86_XSTATE || errno != EFAULT) return result;

  struct iovec *part = data, full = {whole, sizeof whole};
  if (call(PTRACE_GETREGSET, pid, address, &full) != 0) return -1;
  if (full.iov_len <= part->iov_len) {
    errno = EFAULT;
    return -1;
  }
  memcpy(whole, part->iov_base, part->iov_len);
  return call(PTRACE_SETREGSET, pid, address, &full);
}
