// Shows the thread sanitizer what `Mutex` of Swift's Synchronization does where two threads meet. Linked by Deploy/sanitize.
//
// The way of a mutex that is free is compiled into our code and seen. The two functions below, for one that is held or waited
// for, are in the runtime, which is not instrumented: without this, whatever a contended mutex guards is reported as a race.
// Nothing is suppressed: an access that holds no mutex, or another one, is reported as before.
//
// Invariant: the sanitizer hears of a lock after it is taken and of an unlock before it is given back, under the address by
// which the compiled part calls it.
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

// Absent in the tools that the build links without the sanitizer.
extern void __tsan_acquire(const void *) __attribute__((weak));
extern void __tsan_release(const void *) __attribute__((weak));

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

SWIFT typedef void Lock(uint32_t thread, SELF void *mutex);
SWIFT typedef void Unlock(SELF void *mutex);

static void *runtime(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

SWIFT void lock_slow(uint32_t thread, SELF void *mutex) __asm__(LOCK);
SWIFT void lock_slow(uint32_t thread, SELF void *mutex) {
    ((Lock *)runtime(LOCK))(thread, mutex);
    if (__tsan_acquire) __tsan_acquire(mutex);
}

SWIFT void unlock_slow(SELF void *mutex) __asm__(UNLOCK);
SWIFT void unlock_slow(SELF void *mutex) {
    if (__tsan_release) __tsan_release(mutex);
    ((Unlock *)runtime(UNLOCK))(mutex);
}
