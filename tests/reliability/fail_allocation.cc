// A library to preload that makes one allocation of SparseCPUProvider fail: the N-th since fail_at(N). Allocations
// count whose caller lies in the plugin library, directly or through libstdc++ (std::string allocates there); those of
// ONNX Runtime and Python never fail.
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <new>

namespace {

struct Range {
  uintptr_t begin = 0, end = 0;
  bool holds(const void* address) const {
    auto value = reinterpret_cast<uintptr_t>(address);
    return value >= begin && value < end;
  }
};

Range plugin, standard;
std::atomic<long> countdown{0}, counted{0};
// backtrace() and dlsym() allocate. Initial-exec: a variable of the other kind would allocate on its first use.
__attribute__((tls_model("initial-exec"))) thread_local bool inside = false;

int find(dl_phdr_info* info, size_t, void*) {
  Range* range = strstr(info->dlpi_name, "libonnxruntime_ep_sparsecpu") ? &plugin
                 : strstr(info->dlpi_name, "libstdc++")                 ? &standard
                                                                        : nullptr;
  if (!range) return 0;
  *range = {UINTPTR_MAX, 0};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) & part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    uintptr_t begin = info->dlpi_addr + part.p_vaddr;
    if (begin < range->begin) range->begin = begin;
    if (begin + part.p_memsz > range->end) range->end = begin + part.p_memsz;
  }
  return 0;
}

bool from_plugin(const void* caller) {
  if (plugin.holds(caller)) return true;
  if (!standard.holds(caller)) return false;
  void* frames[16];
  inside = true;
  int count = backtrace(frames, 16);
  inside = false;
  // The first frame behind libstdc++ made the call; those of this library come before.
  bool reached = false;
  for (int i = 0; i < count; ++i) {
    if (standard.holds(frames[i]))
      reached = true;
    else if (reached)
      return plugin.holds(frames[i]);
  }
  return false;
}

bool fails(const void* caller) {
  if (inside || !from_plugin(caller)) return false;
  ++counted;
  return countdown.load() > 0 && countdown.fetch_sub(1) == 1;
}

template <class F>
F next(const char* name) {
  inside = true;
  auto* found = reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
  inside = false;
  return found;
}

void* obtain(size_t size, size_t alignment, const void* caller) {
  void* memory = nullptr;
  if (!fails(caller)) {
    inside = true;
    memory =
        alignment ? aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment) : malloc(size ? size : 1);
    inside = false;
  }
  return memory;
}

void* checked(void* memory) {
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

extern "C" {

// The n-th allocation from now on fails, once; 0: none does. Returns how many were counted since the last call.
__attribute__((visibility("default"))) long fail_at(long n) {
  void* frames[2];
  backtrace(frames, 2);  // loads what it needs now, not in the middle of an allocation
  dl_iterate_phdr(find, nullptr);
  countdown = n;
  return counted.exchange(0);
}

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

void* malloc(size_t size) {
  if (!inside && fails(__builtin_return_address(0))) {
    errno = ENOMEM;
    return nullptr;
  }
  return __libc_malloc(size);
}

void* calloc(size_t count, size_t size) {
  if (!inside && fails(__builtin_return_address(0))) {
    errno = ENOMEM;
    return nullptr;
  }
  return __libc_calloc(count, size);
}

void* realloc(void* memory, size_t size) {
  if (!inside && fails(__builtin_return_address(0))) {
    errno = ENOMEM;
    return nullptr;
  }
  return __libc_realloc(memory, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  if (!inside && fails(__builtin_return_address(0))) {
    errno = ENOMEM;
    return nullptr;
  }
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** memory, size_t alignment, size_t size) {
  if (!inside && fails(__builtin_return_address(0))) return ENOMEM;
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}

void* mmap(void* address, size_t size, int protection, int flags, int file, off_t offset) {
  static auto real = next<void* (*)(void*, size_t, int, int, int, off_t)>("mmap");
  if (!inside && fails(__builtin_return_address(0))) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return real(address, size, protection, flags, file, offset);
}

}  // extern "C"

void* operator new(size_t size) { return checked(obtain(size, 0, __builtin_return_address(0))); }
void* operator new[](size_t size) { return checked(obtain(size, 0, __builtin_return_address(0))); }
void* operator new(size_t size, std::align_val_t alignment) {
  return checked(obtain(size, static_cast<size_t>(alignment), __builtin_return_address(0)));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return checked(obtain(size, static_cast<size_t>(alignment), __builtin_return_address(0)));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return obtain(size, 0, __builtin_return_address(0)); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return obtain(size, 0, __builtin_return_address(0));
}
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t) noexcept { free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { free(memory); }
