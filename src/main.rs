//! latentd: see `latentd --help`.

fn main() -> std::process::ExitCode {
    latentd::cli::main()
}
