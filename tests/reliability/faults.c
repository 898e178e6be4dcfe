/* A system that is short of something, or has plenty, as the process itself chooses: preloaded, each function answers
   as there, and as the real one where nothing is set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_int cpus;              /* in every affinity mask; 0: the real ones */
static atomic_int threads_left = -1; /* that can still be created; -1: any number */
static atomic_int refuses_code;      /* whether memory that may be executed can be had */
static atomic_int linger_us;         /* that the plugin library holds each lock longer */

void set_cpus(int count) { cpus = count; }
void set_threads_left(int count) { threads_left = count; }
void set_refuses_code(int value) { refuses_code = value; }
void set_linger_us(int time) { linger_us = time; }

int sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t* set) {
  if (cpus == 0) {
    int (*real)(pid_t, size_t, cpu_set_t*) = dlsym(RTLD_NEXT, "sched_getaffinity");
    return real(pid, bytes, set);
  }
  memset(set, 0, bytes);
  for (int cpu = 0; cpu < cpus; ++cpu) CPU_SET_S(cpu, bytes, set);
  return 0;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  if (threads_left == 0) return EAGAIN;
  if (threads_left > 0) --threads_left;
  int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) = dlsym(RTLD_NEXT, "pthread_create");
  return real(thread, attributes, run, argument);
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static int (*real)(pthread_mutex_t*);
  if (real == NULL) real = dlsym(RTLD_NEXT, "pthread_mutex_lock");
  const int result = real(mutex);
  Dl_info caller;
  if (linger_us > 0 && dladdr(__builtin_return_address(0), &caller) && strstr(caller.dli_fname, "ep_sparsecpu.so")) {
    usleep(linger_us);
  }
  return result;
}

void* mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset) {
  if (refuses_code && (protection & PROT_EXEC)) {
    errno = EACCES;
    return MAP_FAILED;
  }
  void* (*real)(void*, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");
  return real(address, bytes, protection, flags, file, offset);
}

int mprotect(void* address, size_t bytes, int protection) {
  if (refuses_code && (protection & PROT_EXEC)) {
    errno = EACCES;
    return -1;
  }
  int (*real)(void*, size_t, int) = dlsym(RTLD_NEXT, "mprotect");
  return real(address, bytes, protection);
}
