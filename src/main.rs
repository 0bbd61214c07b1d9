//! latentd.
fn main() {}
