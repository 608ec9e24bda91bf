// wde_faults.so: makes system calls of a program fail on purpose, by LD_PRELOAD, so that the program itself has no code
// for tests. Calls from main() on count; calls inside of libc itself (stdio, malloc's own mmap) cannot be reached.
//
//   WDE_FAULTS="write path=out.npy nth=3 error=ENOSPC; read delay=50"
//
// Rules are separated by ";". A rule is a kind of call and words key=value:
//   kinds    thread (pthread_create) · alloc (malloc and its relatives, anonymous mmap) · map (mmap of a file) · open ·
//            read (read, pread, readv, recv…) · write (write, pwrite, writev, send…) · sync (fsync, fdatasync) · rename
//   nth=K    only the K-th call that matches, from 1       from=K  it and all that follow; default: every call
//   error=E  fails with this errno (default EIO; alloc and map ENOMEM, thread EAGAIN)
//   short=N  reads or writes at most N bytes, instead of failing
//   delay=MS waits, instead of failing
//   path=P   only of files whose path has P in it ("socket:" and "pipe:" are paths too)
//   fd=N     only of this descriptor                       least=N only calls of at least N bytes
//
// WDE_FAULTS_REPORT=FILE: gets a line "rule number, kind" for every call that a rule changed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum Kind { kThread, kAlloc, kMap, kOpen, kRead, kWrite, kSync, kRename, kKinds };
static const char* const kNames[kKinds] = {"thread", "alloc", "map", "open", "read", "write", "sync", "rename"};

enum Action { kFail, kShort, kDelay };

struct Rule {
  enum Kind kind;
  enum Action action;
  int error;
  long nth, from, delay, descriptor;
  size_t least, bytes;
  char path[256];
  atomic_long seen;
};

enum { kMaxRules = 8 };
static struct Rule rules[kMaxRules];
static int rule_count;
static atomic_int armed;
static char report_file[512];

// A mistake in a rule must not look like a test that passed.
static void refuse(const char* what, const char* word) {
  dprintf(STDERR_FILENO, "wde_faults: %s \"%s\"\n", what, word);
  _exit(99);
}

static int errno_named(const char* name) {
  static const struct {
    const char* name;
    int value;
  } kErrors[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EAGAIN", EAGAIN}, {"EINTR", EINTR},         {"EBADF", EBADF},
                 {"ENOMEM", ENOMEM}, {"EACCES", EACCES}, {"EMFILE", EMFILE}, {"ECONNRESET", ECONNRESET}, {"EPIPE", EPIPE},
                 {"EROFS", EROFS},   {"ENOENT", ENOENT}, {"EDQUOT", EDQUOT}, {"ETIMEDOUT", ETIMEDOUT}};
  for (size_t i = 0; i < sizeof kErrors / sizeof *kErrors; ++i) {
    if (strcmp(name, kErrors[i].name) == 0) return kErrors[i].value;
  }
  refuse("unknown error", name);
  return 0;
}

static void read_word(struct Rule* rule, char* word) {
  char* value = strchr(word, '=');
  if (value == NULL) refuse("no key=value", word);
  *value++ = '\0';
  if (strcmp(word, "nth") == 0) {
    rule->nth = atol(value);
  } else if (strcmp(word, "from") == 0) {
    rule->from = atol(value);
  } else if (strcmp(word, "error") == 0) {
    rule->error = errno_named(value);
  } else if (strcmp(word, "short") == 0) {
    rule->action = kShort;
    rule->bytes = (size_t)atol(value);
  } else if (strcmp(word, "delay") == 0) {
    rule->action = kDelay;
    rule->delay = atol(value);
  } else if (strcmp(word, "path") == 0) {
    snprintf(rule->path, sizeof rule->path, "%s", value);
  } else if (strcmp(word, "fd") == 0) {
    rule->descriptor = atol(value);
  } else if (strcmp(word, "least") == 0) {
    rule->least = (size_t)atol(value);
  } else {
    refuse("unknown key", word);
  }
}

static void read_rule(char* text) {
  char* rest = NULL;
  char* word = strtok_r(text, " ", &rest);
  if (word == NULL) return;
  if (rule_count == kMaxRules) refuse("too many rules at", word);
  struct Rule* rule = &rules[rule_count];
  memset(rule, 0, sizeof *rule);
  rule->descriptor = -1;
  int kind = 0;
  while (kind < kKinds && strcmp(word, kNames[kind]) != 0) ++kind;
  if (kind == kKinds) refuse("unknown kind of call", word);
  rule->kind = (enum Kind)kind;
  rule->error = kind == kThread ? EAGAIN : kind == kAlloc || kind == kMap ? ENOMEM : EIO;
  while ((word = strtok_r(NULL, " ", &rest)) != NULL) read_word(rule, word);
  ++rule_count;
}

static void read_environment(void) {
  const char* report = getenv("WDE_FAULTS_REPORT");
  if (report != NULL) snprintf(report_file, sizeof report_file, "%s", report);
  const char* set = getenv("WDE_FAULTS");
  if (set == NULL) return;
  static char text[4096];
  snprintf(text, sizeof text, "%s", set);
  char* rest = NULL;
  for (char* rule = strtok_r(text, ";", &rest); rule != NULL; rule = strtok_r(NULL, ";", &rest)) read_rule(rule);
}

static void report(int number, enum Kind kind) {
  if (report_file[0] == '\0') return;
  const int file = (int)syscall(SYS_openat, AT_FDCWD, report_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return;
  char line[64];
  const int size = snprintf(line, sizeof line, "%d %s\n", number, kNames[kind]);
  (void)syscall(SYS_write, file, line, (size_t)size);
  (void)syscall(SYS_close, file);
}

// Of a call: its kind, descriptor (-1: none) or path (NULL: none) and size.
struct Call {
  enum Kind kind;
  int descriptor;
  const char* path;
  size_t bytes;
};

static int concerns(const struct Rule* rule, const struct Call* call) {
  if (rule->kind != call->kind || call->bytes < rule->least) return 0;
  if (rule->descriptor >= 0 && rule->descriptor != call->descriptor) return 0;
  if (rule->path[0] == '\0') return 1;
  char found[512];
  const char* path = call->path;
  if (path == NULL) {
    if (call->descriptor < 0) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", call->descriptor);
    const ssize_t size = readlink(link, found, sizeof found - 1);
    if (size < 0) return 0;
    found[size] = '\0';
    path = found;
  }
  return strstr(path, rule->path) != NULL;
}

// 0: go on, with at most *limit bytes; else the errno to fail with.
static int strike(struct Call call, size_t* limit) {
  if (!atomic_load_explicit(&armed, memory_order_relaxed)) return 0;
  const int before = errno;
  for (int i = 0; i < rule_count; ++i) {
    struct Rule* rule = &rules[i];
    if (!concerns(rule, &call)) continue;
    const long number = atomic_fetch_add(&rule->seen, 1) + 1;
    if ((rule->nth > 0 && number != rule->nth) || number < rule->from) continue;
    report(i, rule->kind);
    if (rule->action == kDelay) {
      const struct timespec pause = {rule->delay / 1000, rule->delay % 1000 * 1000000};
      nanosleep(&pause, NULL);
    } else if (rule->action == kShort) {
      if (limit != NULL && *limit > rule->bytes) *limit = rule->bytes;
    } else {
      return rule->error;
    }
  }
  errno = before;
  return 0;
}

#define EXPORT __attribute__((visibility("default")))

// Fails with `failure` if a rule says so.
#define STRIKE(limit, failure, ...)                           \
  do {                                                        \
    const int error_ = strike((struct Call){__VA_ARGS__}, limit); \
    if (error_ != 0) {                                        \
      errno = error_;                                         \
      return failure;                                         \
    }                                                         \
  } while (0)

// Loads once what the program would have called.
#define NEXT(name)                                                                         \
  static __typeof__(&name) next;                                                           \
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, #name)

static int (*program_main)(int, char**, char**);

static int armed_main(int argc, char** argv, char** environment) {
  read_environment();
  atomic_store(&armed, 1);
  const int status = program_main(argc, argv, environment);
  atomic_store(&armed, 0);  // what static destructors do is not what is tested
  return status;
}

int __libc_start_main(int (*)(int, char**, char**), int, char**, void (*)(void), void (*)(void), void (*)(void), void*);
EXPORT int __libc_start_main(int (*real)(int, char**, char**), int argc, char** argv, void (*init)(void), void (*fini)(void),
                             void (*unload)(void), void* stack_end) {
  NEXT(__libc_start_main);
  program_main = real;
  return next(armed_main, argc, argv, init, fini, unload, stack_end);
}

EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  NEXT(pthread_create);
  const int error = strike((struct Call){kThread, -1, NULL, 0}, NULL);
  return error != 0 ? error : next(thread, attributes, run, argument);
}

// glibc's own, past dlsym, which allocates.
extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

EXPORT void* malloc(size_t bytes) {
  STRIKE(NULL, NULL, kAlloc, -1, NULL, bytes);
  return __libc_malloc(bytes);
}
EXPORT void* calloc(size_t count, size_t bytes) {
  STRIKE(NULL, NULL, kAlloc, -1, NULL, count * bytes);
  return __libc_calloc(count, bytes);
}
EXPORT void* realloc(void* old, size_t bytes) {
  STRIKE(NULL, NULL, kAlloc, -1, NULL, bytes);
  return __libc_realloc(old, bytes);
}
EXPORT void* memalign(size_t alignment, size_t bytes) {
  STRIKE(NULL, NULL, kAlloc, -1, NULL, bytes);
  return __libc_memalign(alignment, bytes);
}
EXPORT void* aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }
EXPORT int posix_memalign(void** out, size_t alignment, size_t bytes) {
  void* memory = memalign(alignment, bytes);
  if (memory == NULL) return ENOMEM;
  *out = memory;
  return 0;
}

EXPORT void* mmap(void* address, size_t bytes, int protection, int flags, int descriptor, off_t offset) {
  NEXT(mmap);
  STRIKE(NULL, MAP_FAILED, flags & MAP_ANONYMOUS ? kAlloc : kMap, descriptor, NULL, bytes);
  return next(address, bytes, protection, flags, descriptor, offset);
}
EXPORT void* mmap64(void* address, size_t bytes, int protection, int flags, int descriptor, off64_t offset) {
  return mmap(address, bytes, protection, flags, descriptor, offset);
}

static mode_t mode_of(int flags, va_list arguments) {
  return flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}
EXPORT int open(const char* path, int flags, ...) {
  NEXT(open);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  STRIKE(NULL, -1, kOpen, -1, path, 0);
  return next(path, flags, mode);
}
EXPORT int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open(path, flags, mode);
}
EXPORT int openat(int directory, const char* path, int flags, ...) {
  NEXT(openat);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  STRIKE(NULL, -1, kOpen, -1, path, 0);
  return next(directory, path, flags, mode);
}

EXPORT ssize_t read(int descriptor, void* out, size_t bytes) {
  NEXT(read);
  STRIKE(&bytes, -1, kRead, descriptor, NULL, bytes);
  return next(descriptor, out, bytes);
}
EXPORT ssize_t pread(int descriptor, void* out, size_t bytes, off_t offset) {
  NEXT(pread);
  STRIKE(&bytes, -1, kRead, descriptor, NULL, bytes);
  return next(descriptor, out, bytes, offset);
}
EXPORT ssize_t pread64(int descriptor, void* out, size_t bytes, off64_t offset) {
  return pread(descriptor, out, bytes, offset);
}
EXPORT ssize_t recv(int descriptor, void* out, size_t bytes, int flags) {
  NEXT(recv);
  STRIKE(&bytes, -1, kRead, descriptor, NULL, bytes);
  return next(descriptor, out, bytes, flags);
}

EXPORT ssize_t write(int descriptor, const void* data, size_t bytes) {
  NEXT(write);
  STRIKE(&bytes, -1, kWrite, descriptor, NULL, bytes);
  return next(descriptor, data, bytes);
}
EXPORT ssize_t pwrite(int descriptor, const void* data, size_t bytes, off_t offset) {
  NEXT(pwrite);
  STRIKE(&bytes, -1, kWrite, descriptor, NULL, bytes);
  return next(descriptor, data, bytes, offset);
}
EXPORT ssize_t pwrite64(int descriptor, const void* data, size_t bytes, off64_t offset) {
  return pwrite(descriptor, data, bytes, offset);
}
EXPORT ssize_t send(int descriptor, const void* data, size_t bytes, int flags) {
  NEXT(send);
  STRIKE(&bytes, -1, kWrite, descriptor, NULL, bytes);
  return next(descriptor, data, bytes, flags);
}

// Of several pieces, a short call takes the first alone.
static int pieces(const struct iovec* parts, int count, size_t limit) {
  return count > 1 && limit < parts[0].iov_len + parts[1].iov_len ? 1 : count;
}
EXPORT ssize_t readv(int descriptor, const struct iovec* parts, int count) {
  NEXT(readv);
  size_t limit = ~(size_t)0;
  STRIKE(&limit, -1, kRead, descriptor, NULL, parts[0].iov_len);
  return next(descriptor, parts, pieces(parts, count, limit));
}
EXPORT ssize_t writev(int descriptor, const struct iovec* parts, int count) {
  NEXT(writev);
  size_t limit = ~(size_t)0;
  STRIKE(&limit, -1, kWrite, descriptor, NULL, parts[0].iov_len);
  return next(descriptor, parts, pieces(parts, count, limit));
}
EXPORT ssize_t recvmsg(int descriptor, struct msghdr* message, int flags) {
  NEXT(recvmsg);
  STRIKE(NULL, -1, kRead, descriptor, NULL, 0);
  return next(descriptor, message, flags);
}
EXPORT ssize_t sendmsg(int descriptor, const struct msghdr* message, int flags) {
  NEXT(sendmsg);
  STRIKE(NULL, -1, kWrite, descriptor, NULL, 0);
  return next(descriptor, message, flags);
}

EXPORT int fsync(int descriptor) {
  NEXT(fsync);
  STRIKE(NULL, -1, kSync, descriptor, NULL, 0);
  return next(descriptor);
}
EXPORT int fdatasync(int descriptor) {
  NEXT(fdatasync);
  STRIKE(NULL, -1, kSync, descriptor, NULL, 0);
  return next(descriptor);
}
EXPORT int rename(const char* from, const char* to) {
  NEXT(rename);
  STRIKE(NULL, -1, kRename, -1, to, 0);
  return next(from, to);
}
