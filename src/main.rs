//! latentd: see `latentd --help`.

/// Gives back what trainings took: threads that carry records and threads that train come and go, and glibc's arenas, which they share, keep
/// what one of them freed between what another one holds.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    latentd::cli::main()
}
