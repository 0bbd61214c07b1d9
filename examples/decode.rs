//! A consumer without latentd's daemon: values of a topic that latentd wrote, from files, restored on standard output.
//!
//! `cargo run --no-default-features --features decode --example decode -- FOLDER_WITH_MODELS VALUE...`

use std::error::Error;
use std::io::{Write as _, stdout};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = arguments.next().ok_or("name the folder with the models, and then the files")?;
    let mut reader = latentd::embed::Reader::open(folder);
    for file in arguments {
        let value = std::fs::read(&file)?;
        for record in reader.read(&value)?.iter() {
            stdout().write_all(record.value.unwrap_or_default())?;
            stdout().write_all(b"\n")?;
        }
    }
    Ok(())
}
