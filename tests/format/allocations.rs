//! Counts what a thread allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with a look at every request.
struct Counting;

fn note(freed: usize, taken: usize) {
    LARGEST.set(LARGEST.get().max(taken));
    // What another thread allocated may be freed here.
    LIVE.set(LIVE.get().saturating_sub(freed) + taken);
    PEAK.set(PEAK.get().max(LIVE.get()));
}

#[expect(
    unsafe_code,
    reason = "an allocator is an unsafe trait; this one hands every call on to the system's as it is"
)]
// SAFETY: every method calls the same method of `System` with the same arguments, whose contract is the caller's. What is
// done beside it touches no memory but thread-local cells, which need no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(0, layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(0, layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(layout.size(), 0);
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(layout.size(), size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a piece of work allocated through Rust's allocator on this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// The largest single request.
    pub largest: usize,
    /// The most that was in use at one time, beside what was in use before.
    pub peak: usize,
}

/// Does some work and says what it allocated.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, Allocated) {
    LARGEST.set(0);
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, Allocated { largest: LARGEST.get(), peak: PEAK.get() - before })
}
