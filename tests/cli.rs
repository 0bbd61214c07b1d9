//! The command line as scripts and people meet it: the real program, real files, other people's programs beside it.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

#[path = "cli/learned.rs"]
mod learned;
mod tools;

use std::fs;
use std::io::{Read as _, Write};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use latentd::codec::Algorithm;
use latentd::model::columns::{ColumnsModel, Options};
use serde_json::Value;

fn latentd(arguments: &[&str], input: Option<&[u8]>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latentd"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in ["LATENTD_CONFIG", "LATENTD_REGISTRY", "LATENTD_DATA", "COLUMNS"] {
        command.env_remove(variable);
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.unwrap_or_default().to_vec();
    let writer = std::thread::spawn(move || {
        // A program that refuses its input closes the pipe.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Standard output of a call that succeeds.
fn ok(arguments: &[&str], input: Option<&[u8]>) -> Vec<u8> {
    let output = latentd(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Exit code and standard error of a call that fails.
fn fails(arguments: &[&str], input: Option<&[u8]>) -> (i32, String) {
    let output = latentd(arguments, input);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert_eq!(output.stdout.len(), 0, "{arguments:?} wrote data and failed");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The beginning of the flights.
fn flights(bytes: usize) -> Vec<u8> {
    let text = fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
    text[..bytes].to_vec()
}

#[test]
fn every_codec_takes_pipes_and_gives_them_back() {
    let input = flights(300_000);
    for algorithm in Algorithm::ALL {
        let coded = ok(&["compress", "--codec", algorithm.name()], Some(&input));
        let back = ok(&["decompress", "--codec", algorithm.name()], Some(&coded));
        assert!(back == input, "{algorithm}");
        if algorithm != Algorithm::Identity {
            assert!(coded.len() < input.len() * 3 / 4, "{algorithm}: {} bytes", coded.len());
        }
    }
    for codec in ["gzip", "zstd", "lz4", "xz", "bzip2"] {
        let coded = ok(&["compress", "--codec", codec], Some(&input));
        assert!(ok(&["decompress"], Some(&coded)) == input, "{codec} says itself what it is");
        let twice = [coded.as_slice(), coded.as_slice()].concat();
        assert!(
            ok(&["decompress"], Some(&twice)) == [input.as_slice(), input.as_slice()].concat(),
            "{codec}, two members"
        );
    }
}

#[test]
fn a_model_of_fields_codes_a_file_of_records_and_only_it_reads_them_again() {
    let input = flights(2_000_000);
    let lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    fs::write(&model, ColumnsModel::train(&lines[..3_000], &Options::default()).artefact()).unwrap();
    let model = model.to_str().unwrap();
    for layout in ["block", "record"] {
        let compress = ["compress", "--codec", "columns", "--model", model, "--records", "lines", "--layout", layout];
        let coded = ok(&compress, Some(&input));
        assert!(coded.len() * 8 < input.len(), "{layout}: {} bytes", coded.len());
        assert_eq!(ok(&["decompress", "--model", model], Some(&coded)), input, "{layout}");
        let (code, told) = fails(&["decompress"], Some(&coded));
        let id = blake3::hash(&fs::read(model).unwrap()).to_hex();
        assert!(code == 1 && told.contains(&id[..8]), "{told}");
    }
    let (code, told) = fails(&["compress", "--codec", "columns", "--records", "lines"], Some(&input));
    assert!(code == 2 && told.contains("--model"), "{told}");
    let (code, told) = fails(&["compress", "--codec", "columns", "--model", model], Some(&input));
    assert!(code == 2 && told.contains("--records"), "{told}");
}

#[test]
fn skippable_frames_in_front_of_a_stream_are_passed_over() {
    let input = flights(100_000);
    let skippable = |low: u8, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap();
        [&[0x50 | low, 0x2a, 0x4d, 0x18][..], &length.to_le_bytes(), content].concat()
    };
    let front = [skippable(0, b""), skippable(15, &vec![7; 100_000])].concat();
    for codec in ["zstd", "lz4"] {
        let coded = [front.clone(), ok(&["compress", "--codec", codec], Some(&input))].concat();
        assert!(ok(&["decompress"], Some(&coded)) == input, "{codec} is seen");
        assert!(ok(&["decompress", "--codec", codec], Some(&coded)) == input, "{codec} is named");
        let theirs = tools::filter(&tools::program(codec).unwrap(), &["-d", "-c"], &coded).unwrap();
        assert!(theirs == input, "{codec}, its own program");
    }
    assert_eq!(ok(&["decompress"], Some(&front)), b"");
    let (code, text) = fails(&["decompress"], Some(&front[..front.len() - 1]));
    assert!(code == 1 && text.contains("cut in a skippable frame"), "{text}");
    let coded = [front, ok(&["compress", "--codec", "gzip"], Some(&input))].concat();
    let (code, text) = fails(&["decompress"], Some(&coded));
    assert!(code == 1 && text.contains("neither a zstd nor an LZ4 frame"), "{text}");
}

#[test]
fn other_programs_read_what_it_writes() {
    let input = flights(300_000);
    for (codec, program) in
        [("gzip", "gzip"), ("zstd:19", "zstd"), ("brotli", "brotli"), ("lz4", "lz4"), ("xz", "xz"), ("bzip2", "bzip2")]
    {
        let folder = tempfile::tempdir().unwrap();
        let (plain, coded) = (folder.path().join("plain"), folder.path().join("coded"));
        fs::write(&plain, &input).unwrap();
        ok(&["compress", "--codec", codec, plain.to_str().unwrap(), "-o", coded.to_str().unwrap()], None);
        let output = Command::new(tools::program(program).unwrap())
            .args(["-d", "-c"])
            .stdin(fs::File::open(&coded).unwrap())
            .output()
            .unwrap();
        assert!(output.status.success() && output.stdout == input, "{program}");
    }
}

#[test]
fn files_of_records_come_back_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let csv = b"a,b\r\n\"x\ny\",2\r\n\r\n3,\"q\"\"\"".repeat(50);
    let json = b" {\"a\": 1}\n[2, 3]  \"x\"\n\n".repeat(50);
    let mut idx = fs::read(tools::data("t10k-images-idx3-ubyte").unwrap()).unwrap();
    idx.truncate(16 + 784 * 200 + 5);
    let mut without_end = flights(100_000);
    without_end.push(b'x');
    for (mode, input) in
        [("lines", &without_end), ("csv", &csv), ("json", &json), ("idx", &idx), ("lines", &Vec::new())]
    {
        for layout in ["record", "block"] {
            for codec in ["zstd", "huffman", "brotli", "identity"] {
                let file = folder.path().join("file");
                let arguments = [
                    "compress",
                    "--records",
                    mode,
                    "--layout",
                    layout,
                    "--block",
                    "16KiB",
                    "-c",
                    codec,
                    "-o",
                    file.to_str().unwrap(),
                ];
                ok(&arguments, Some(input));
                let back = ok(&["decompress", file.to_str().unwrap()], None);
                assert!(back == *input, "{mode}, {layout}, {codec}");
            }
        }
    }
}

/// Records of each kind, the same ones again and again, until there are so many bytes.
fn many_records(mode: &str, bytes: usize, mut write: impl FnMut(&[u8])) {
    let rows = flights(1_000_000);
    let some = match mode {
        "lines" | "json" => rows[..=rows.iter().rposition(|byte| *byte == b'\n').unwrap()].to_vec(),
        "csv" => b"\"AA\",1,\"two\nlines\",3.5\r\n".repeat(40_000),
        "length" => rows
            .split(|byte| *byte == b'\n')
            .flat_map(|row| [&(row.len() as u32).to_be_bytes(), row].concat())
            .collect(),
        _ => rows,
    };
    if mode == "idx" {
        // Rows of 784 bytes; how many there are is not looked at.
        write(b"\0\0\x08\x02\0\0\0\0\0\0\x03\x10");
    }
    (0..bytes.div_ceil(some.len())).for_each(|_| write(&some));
}

#[test]
fn a_pipe_of_records_is_compressed_in_bounded_memory() {
    const LIMIT_KIB: u64 = 120 << 10;
    for (mode, bytes) in [
        ("lines", 300_000_000),
        ("json", 150_000_000),
        ("csv", 150_000_000),
        ("length", 150_000_000),
        ("idx", 150_000_000),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_latentd"))
            .args(["compress", "--codec", "lz4", "--records", mode, "-o", file.to_str().unwrap()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut written = 0;
        many_records(mode, bytes, |some| {
            stdin.write_all(some).unwrap();
            written += some.len();
        });
        // All but what the pipe holds was read, so this is the most memory that it had.
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let kib = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
        };
        // The pages of the program and its libraries (libtorch's are many) are the kernel's, which shares and drops them.
        let peak = kib("VmHWM:").saturating_sub(kib("RssFile:"));
        assert!(peak < LIMIT_KIB, "{mode}: {peak} KiB");
        drop(stdin);
        assert!(child.wait().unwrap().success(), "{mode}");
        let mut back = Command::new(env!("CARGO_BIN_EXE_latentd"))
            .args(["decompress", file.to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut restored = back.stdout.take().unwrap();
        let mut buffer = Vec::new();
        many_records(mode, bytes, |some| {
            buffer.resize(some.len(), 0);
            restored.read_exact(&mut buffer).unwrap();
            assert!(buffer == some, "{mode}");
        });
        assert_eq!(restored.read(&mut [0]).unwrap(), 0, "{mode}");
        assert!(back.wait().unwrap().success() && written >= bytes, "{mode}");
    }
}

#[test]
fn what_is_cut_or_damaged_fails_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let to = out.to_str().unwrap();
    let input = flights(50_000);
    let whole = [
        ok(&["compress"], Some(&input)),
        ok(&["compress", "-c", "gzip"], Some(&input)),
        ok(&["compress", "--records", "lines"], Some(&input)),
    ];
    for coded in whole {
        for cut in [coded.len() - 1, coded.len() / 2, 9] {
            let (code, text) = fails(&["decompress", "-o", to], Some(&coded[..cut]));
            assert_eq!(code, 1, "{text}");
            assert!(!out.exists(), "half a file is there");
        }
        let mut damaged = coded.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        fails(&["decompress", "-o", to], Some(&damaged));
        assert!(!out.exists());
    }
    let (code, text) = fails(&["decompress", "-o", to], Some(b"no stream at all"));
    assert!(code == 2 && text.contains("--codec"), "{text}");
    let (code, text) =
        fails(&["decompress", "--max-decoded", "1KiB", "-o", to], Some(&ok(&["compress"], Some(&input))));
    assert!(code == 1 && text.contains("--max-decoded"), "{text}");
    fails(&["decompress", "/nowhere"], None);
    fails(&["decompress"], Some(b""));
}

#[test]
fn bytes_behind_a_stream_are_refused_whatever_its_codec() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let input = flights(200_000);
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Identity) {
        let mut coded = ok(&["compress", "-c", algorithm.name()], Some(&input));
        coded.extend_from_slice(b"something else");
        let (code, text) = fails(&["decompress", "-c", algorithm.name(), "-o", out.to_str().unwrap()], Some(&coded));
        assert_eq!(code, 1, "{algorithm}: {text}");
        assert!(!out.exists(), "{algorithm}");
    }
}

#[test]
fn an_output_file_is_written_where_it_belongs_and_as_any_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let write = |name: &str| ok(&["compress", "-c", "gzip", "-o", place(name).to_str().unwrap()], Some(b"some bytes"));
    let mode = |name: &str| fs::metadata(place(name)).unwrap().permissions().mode() & 0o777;
    // A new file has the permissions that any program's new file has.
    fs::write(place("plain"), b"").unwrap();
    write("new");
    assert_eq!(mode("new"), mode("plain"));
    // One that is replaced keeps its own, and a link to it stays a link.
    fs::write(place("private"), b"old").unwrap();
    fs::set_permissions(place("private"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("private", place("link")).unwrap();
    symlink("behind", place("dangling")).unwrap();
    write("link");
    write("dangling");
    assert_eq!(mode("private"), 0o640);
    for name in ["link", "dangling"] {
        assert!(fs::symlink_metadata(place(name)).unwrap().is_symlink(), "{name}");
    }
    for name in ["new", "private", "behind"] {
        let back = ok(&["decompress", place(name).to_str().unwrap()], None);
        assert_eq!(back, b"some bytes", "{name}");
    }
    // A pipe is written to, and what cannot be a file says so.
    let pipe = place("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    write("pipe");
    assert_eq!(ok(&["decompress"], Some(&reader.join().unwrap())), b"some bytes");
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    let (code, text) = fails(&["compress", "-o", folder.path().to_str().unwrap()], Some(b"x"));
    assert!(code == 1 && text.contains("directory"), "{text}");
}

#[test]
fn a_signal_leaves_no_half_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let files = || fs::read_dir(folder.path()).unwrap().count();
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        // Its input stays open, so it cannot end by itself.
        let mut child = Command::new(env!("CARGO_BIN_EXE_latentd"))
            .args(["compress", "-o", folder.path().join("out").to_str().unwrap()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // More than a pipe holds: when all of it is written, the program is reading.
        stdin.write_all(&flights(1_000_000)).unwrap();
        assert_eq!(files(), 1, "a file is being written");
        let kill = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(files(), 0, "{name}");
    }
}

#[test]
fn a_block_never_holds_more_records_than_its_reader_takes() {
    let input = vec![b'\n'; 20_000_000];
    let coded = ok(&["compress", "--records", "lines", "--block", "64MiB"], Some(&input));
    assert!(ok(&["decompress"], Some(&coded)) == input);
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_what_would_be_right() {
    for (arguments, expected) in [
        (&["compress", "--codec", "zsdt"][..], "no codec `zsdt`"),
        (&["compress", "--codec", "zstd:99"], "levels are 1 to 22"),
        (&["bench", "/nowhere"], "there is no file or folder `/nowhere`"),
        (&["models", "list"], "which registry?"),
        (&["run", "-c", "/nowhere.toml"], "cannot read the configuration"),
        (&["check", "-c", "/nowhere.toml"], "cannot read the configuration"),
        (&["cat", "topic"], "which cluster?"),
        (&["demo", "--delivery", "exactly-once"], "exactly-once is refused on the embedded broker"),
        (&["frobnicate"], "unrecognized subcommand"),
    ] {
        let (code, text) = fails(arguments, None);
        assert_eq!(code, 2, "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn check_prints_every_value_with_its_origin() {
    let text = ok(&["check", "-c", "config/latentd.toml"], None);
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("pipelines.flights.codec") && text.contains("default"), "{text}");
    let report: Value =
        serde_json::from_slice(&ok(&["check", "-c", "config/latentd.toml", "--format", "json"], None)).unwrap();
    let values = report["values"].as_array().unwrap();
    let of = |key: &str| values.iter().find(|value| value["key"] == key).unwrap().clone();
    assert_eq!(of("pipelines.flights.layout")["origin"], "default");
    assert!(of("registry.url")["origin"].as_str().unwrap().starts_with("line "));
}

#[test]
fn bench_always_shows_kafkas_own_zstd_and_sizes_are_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flights.jsonl");
    let mut input = flights(3_000_000);
    input.truncate(input.iter().rposition(|byte| *byte == b'\n').unwrap() + 1);
    fs::write(&file, input).unwrap();
    let arguments = [
        "bench",
        file.to_str().unwrap(),
        "--limit",
        "3000",
        "--time",
        "1ms",
        "-c",
        "zstd,zstd-dict,huffman,columns",
        "--format",
        "json",
    ];
    let reports = [(); 2].map(|()| serde_json::from_slice::<Value>(&ok(&arguments, None)).unwrap());
    let sizes = |report: &Value| -> Vec<(String, u64)> {
        let rows = report["rows"].as_array().unwrap();
        rows.iter().map(|row| (row["way"].as_str().unwrap().to_owned(), row["log_bytes"].as_u64().unwrap())).collect()
    };
    assert_eq!(sizes(&reports[0]), sizes(&reports[1]));
    let of = |way: &str| {
        sizes(&reports[0]).into_iter().find(|(name, _)| name == way).unwrap_or_else(|| panic!("no {way}")).1
    };
    for level in [3, 19] {
        for size in ["16KiB", "128KiB", "1MiB"] {
            of(&format!("Kafka zstd-{level}, {size}"));
        }
    }
    assert!(of("zstd, block 128KiB") < of("Kafka zstd-3, 128KiB"), "columns pay for themselves");
    assert!(of("zstd-dict, record") < of("zstd, record") / 2, "the dictionary is used");
    assert!(of("columns, block 128KiB") * 3 < of("Kafka zstd-3, 128KiB"), "fields are learned, framing counted");
    assert!(of("columns, record") < of("zstd-dict, record"), "a record alone has its own model");
    let row = |way: &str| reports[0]["rows"].as_array().unwrap().iter().find(|row| row["way"] == way).unwrap().clone();
    for way in ["columns, block 16KiB", "columns, record", "zstd-dict, record"] {
        assert!(row(way)["model_bytes"].as_u64() > Some(1000), "{way}");
        assert!(row(way)["training_cpu_seconds"].as_f64() > Some(0.0), "{way}");
    }
    for codec in ["zstd", "zstd-dict", "huffman"] {
        let inside = of(&format!("{codec}, record, in Kafka zstd-3 16KiB"));
        assert!(inside < of(&format!("{codec}, record")), "{codec}: Kafka takes what records have in common");
        assert!(inside > of("Kafka zstd-3, 16KiB"), "{codec}: coded alone, records have less in common");
    }
    let table = String::from_utf8(ok(&arguments[..arguments.len() - 2], None)).unwrap();
    assert!(table.contains("Kafka's smallest") && table.contains("our smallest"), "{table}");
}

#[test]
fn bench_reads_no_more_of_a_file_than_its_limit_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("rows.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // A file without an end.
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut pipe = fs::OpenOptions::new().write(true).open(pipe).unwrap();
            let rows = flights(1_000_000);
            let rows = &rows[..=rows.iter().rposition(|byte| *byte == b'\n').unwrap()];
            while pipe.write_all(rows).is_ok() {}
        }
    });
    let arguments =
        ["bench", pipe.to_str().unwrap(), "--limit", "500", "--time", "1ms", "-c", "identity", "--format", "json"];
    let report: Value = serde_json::from_slice(&ok(&arguments, None)).unwrap();
    assert_eq!((&report["records"], &report["learned_from_records"]), (&500.into(), &500.into()));
    writer.join().unwrap();
}

#[test]
fn models_are_published_shown_promoted_moved_and_removed() {
    use latentd::model::{Dictionary, Family, Manifest, package};
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        format!("file://{}", path.display())
    };
    let (here, there) = (url("here"), url("there"));
    let text = flights(2_000_000);
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let dictionary = Dictionary::train(&lines, 16 << 10).unwrap();
    let manifest = Manifest::new(dictionary.artefact(), Family::ZSTD_DICTIONARY, "flights", "2020-01-01T00:00:00Z");
    let file = folder.path().join("model");
    fs::write(&file, package::pack(&manifest.to_json().unwrap(), dictionary.artefact()).unwrap()).unwrap();
    let models = |registry: &str, rest: &[&str]| -> Vec<u8> {
        ok(&[&["models", "--registry", registry][..], rest].concat(), None)
    };
    models(&here, &["import", file.to_str().unwrap()]);
    let id = manifest.model.to_string();
    models(&here, &["promote", &id[..8]]);
    let list = String::from_utf8(models(&here, &["list"])).unwrap();
    assert!(list.contains(&id[..12]) && list.contains("zstd-dictionary"), "{list}");
    let show = String::from_utf8(models(&here, &["show", &id])).unwrap();
    assert!(show.contains("lineage") && show.contains("Promote"), "{show}");
    let exported = folder.path().join("exported");
    models(&here, &["export", &id, "-o", exported.to_str().unwrap()]);
    assert_eq!(fs::read(&exported).unwrap(), fs::read(&file).unwrap());
    models(&there, &["import", exported.to_str().unwrap()]);
    // The model codes and decodes by its id, and other people's zstd reads it with the artefact.
    let coded = ok(&["compress", "-c", "zstd-dict", "--model", &id, "--registry", &here], Some(lines[7]));
    assert!(coded.len() * 3 < lines[7].len(), "{} bytes", coded.len());
    assert_eq!(ok(&["decompress", "-c", "zstd-dict", "--registry", &there], Some(&coded)), lines[7]);
    let report: Value =
        serde_json::from_slice(&models(&here, &["gc", "--unused-for", "30d", "--keep-last", "0", "--format", "json"]))
            .unwrap();
    assert_eq!(report["removed"].as_array().unwrap().len(), 0, "it is in use");
    models(&here, &["rollback", "flights"]);
    let (code, text) = fails(&["models", "--registry", &here, "show", "ffff0000"], None);
    assert!(code == 1 && text.contains("ffff0000"), "{text}");
}

/// A configuration of a pipeline `flights` with a registry and prices.
fn configured(folder: &Path) -> String {
    let path = folder.join("latentd.toml");
    let registry = folder.join("registry");
    fs::create_dir_all(&registry).unwrap();
    let tables = format!(
        "[registry]\nurl = \"file://{}\"\n[cost]\ncpu_hour = 7.5\nretention = \"20d\"\nreplication = 2\n\
         [pipelines.flights]\nfrom = \"flights\"\nto = \"flights.z\"\n",
        registry.display()
    );
    fs::write(&path, tables).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A dictionary as a file that the registry takes, and its id.
fn dictionary(folder: &Path) -> (String, String) {
    use latentd::model::{Dictionary, Family, Manifest, package};
    let text = flights(1_000_000);
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let dictionary = Dictionary::train(&lines, 8 << 10).unwrap();
    let manifest = Manifest::new(dictionary.artefact(), Family::ZSTD_DICTIONARY, "flights", "2020-01-01T00:00:00Z");
    let file = folder.join("dictionary");
    fs::write(&file, package::pack(&manifest.to_json().unwrap(), dictionary.artefact()).unwrap()).unwrap();
    (file.to_str().unwrap().to_owned(), manifest.model.to_string())
}

#[test]
fn no_model_is_removed_that_the_retention_in_force_still_needs_unless_it_is_forced() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path());
    let (file, id) = dictionary(folder.path());
    ok(&["models", "--config", &config, "import", &file], None);
    let (code, told) = fails(&["models", "--config", &config, "gc", "--unused-for", "19d"], None);
    assert!(code == 2 && told.contains(&format!("shorter than `[cost].retention` of `{config}`, 20days")), "{told}");
    let registry = format!("file://{}", folder.path().join("registry").display());
    let (code, told) = fails(&["models", "--registry", &registry, "gc"], None);
    assert!(code == 2 && told.contains("--unused-for"), "{told}");
    for how in [
        &["--config", &config, "gc"][..],
        &["--config", &config, "gc", "--unused-for", "2h", "--force"],
        &["--registry", &registry, "gc", "--unused-for", "2h"],
    ] {
        let report = ok(&[&["models"], how, &["--format", "json"]].concat(), None);
        let report: Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(report["removed"][0]["model"], id, "{how:?}");
    }
}

/// Runs a command with variables of its environment; its exit code and what it said.
fn among(variables: &[(&str, &str)], args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latentd"));
    let output = command.args(args).envs(variables.iter().copied()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_configuration_of_the_environment_says_nothing_of_a_registry_that_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path());
    let registry = format!("file://{}", folder.path().join("registry").display());
    let (file, id) = dictionary(folder.path());
    ok(&["models", "--registry", &registry, "import", &file], None);
    let gc = ["gc", "--unused-for", "2h"];
    let promote = ["promote", &id, "--pipeline", "later"];
    for path in [config.as_str(), "/nowhere/latentd.toml"] {
        for action in [&gc[..], &promote] {
            let (code, told) =
                among(&[("LATENTD_CONFIG", path)], &[&["models", "--registry", &registry], action].concat());
            assert_eq!(code, 0, "{path}, {action:?}: {told}");
        }
    }
    for action in [&gc[..], &promote] {
        let both = [&["models", "--registry", &registry, "--config", &config], action].concat();
        let pair = [("LATENTD_CONFIG", config.as_str()), ("LATENTD_REGISTRY", registry.as_str())];
        for (variables, args) in [(&[][..], &both[..]), (&pair, &[&["models"], action].concat())] {
            let (code, told) = among(variables, args);
            assert_eq!(code, 2, "{args:?}: {told}");
        }
    }
}

#[test]
fn a_model_is_put_to_use_in_pipelines_alone_that_there_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path());
    let registry = format!("file://{}", folder.path().join("registry").display());
    let (file, id) = dictionary(folder.path());
    ok(&["models", "--registry", &registry, "import", &file], None);
    for (way, pipeline, why) in [
        (["--registry", &registry], "../x", "is no name of a pipeline"),
        (["--registry", &registry], "", "is no name of a pipeline"),
        (["--config", &config], "flight", "has no pipeline `flight`: did you mean `flights`?"),
    ] {
        let (code, told) = fails(&[&["models"], &way[..], &["promote", &id, "--pipeline", pipeline]].concat(), None);
        assert!(code == 2 && told.contains(why), "{told}");
    }
    assert!(!folder.path().join("registry/active").exists(), "nothing is left behind");
    let said = |way: &[&str]| {
        let output = latentd(&[&["models"], way].concat(), None);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let told = said(&["--registry", &registry, "promote", &id, "--pipeline", "later"]);
    assert!(told.contains("knows no pipeline `later` yet"), "{told}");
    assert_eq!(said(&["--registry", &registry, "promote", &id, "--pipeline", "later"]), "");
    assert_eq!(said(&["--config", &config, "promote", &id]), "");
}

#[test]
fn bench_takes_the_prices_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path());
    let file = folder.path().join("flights.jsonl");
    fs::write(&file, flights(100_000)).unwrap();
    let prices = |more: &[&str]| -> Value {
        let bench =
            ["bench", file.to_str().unwrap(), "--limit", "50", "--time", "1ms", "-c", "identity", "--format", "json"];
        serde_json::from_slice::<Value>(&ok(&[&bench[..], more].concat(), None)).unwrap()["prices"].clone()
    };
    let own = prices(&[]);
    assert_eq!(
        (&own["cpu_hour"], &own["replication"], &own["retention_seconds"]),
        (&0.04.into(), &3.into(), &2_592_000.into())
    );
    let known = prices(&["--config", &config, "--replication", "5"]);
    assert_eq!(
        (&known["cpu_hour"], &known["replication"], &known["retention_seconds"]),
        (&7.5.into(), &5.into(), &1_728_000.into())
    );
    assert_eq!((&known["config"], &known["by_hand"]), (&config.as_str().into(), &vec!["--replication"].into()));
    // Where all are said by hand, nobody asks a configuration, whatever the environment names.
    let bench = ["bench", file.to_str().unwrap(), "--limit", "50", "--time", "1ms", "-c", "identity"];
    let some = ["--cpu-hour", "1", "--gigabyte-moved", "2", "--gigabyte-month", "3", "--retention", "4d"];
    let nowhere = [("LATENTD_CONFIG", "/nowhere/latentd.toml")];
    let (code, told) = among(&nowhere, &[&bench[..], &some].concat());
    assert!(code == 2 && told.contains("/nowhere/latentd.toml"), "{told}");
    let (code, told) = among(&nowhere, &[&bench[..], &some, &["--replication", "5"]].concat());
    assert_eq!(code, 0, "{told}");
    let said = String::from_utf8(ok(&[&bench[..], &["--config", &config, "--cpu-hour", "1"]].concat(), None)).unwrap();
    assert!(said.contains("An hour of a core is 1, 10⁹ bytes moved 0.05"), "{said}");
    assert!(said.contains(&format!("for 20days on each: `[cost]` of `{config}`; by hand --cpu-hour.")), "{said}");
}

#[test]
fn help_completions_and_manual_pages_name_every_command() {
    let help = String::from_utf8(ok(&["--help"], None)).unwrap();
    for command in [
        "run",
        "check",
        "demo",
        "compress",
        "decompress",
        "bench",
        "train",
        "generate",
        "models",
        "cat",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        assert!(!ok(&[command, "--help"], None).is_empty());
    }
    assert!(String::from_utf8(ok(&["completions", "bash"], None)).unwrap().contains("decompress"));
    assert!(String::from_utf8(ok(&["man"], None)).unwrap().contains(".TH latentd"));
}

/// The commands below a command, as its help lists them.
fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Their descriptions go on in lines that are indented further.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn the_help_of_every_command_is_as_it_was_reviewed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    let mut paths: Vec<Vec<String>> = vec![vec![]];
    let mut seen = 0;
    while let Some(path) = paths.pop() {
        let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = String::from_utf8(ok(&arguments, None)).unwrap();
        paths.extend(commands(&help).into_iter().map(|name| [path.clone(), vec![name]].concat()));
        let name = [&["help".to_owned()][..], &path].concat().join("-");
        insta::assert_snapshot!(name, help);
        seen += 1;
    }
    assert!(seen > 15, "{seen} commands");
}

#[test]
fn the_demo_feeds_compresses_restores_and_compares() {
    let folder = tools::data("flights.jsonl").unwrap();
    let folder = Path::new(&folder).parent().unwrap().to_str().unwrap().to_owned();
    let report = ok(&["demo", "--for", "4s", "--data", &folder, "--listen", "127.0.0.1:0", "--format", "json"], None);
    let report: Value = serde_json::from_slice(&report).unwrap();
    for stream in report["streams"].as_array().unwrap() {
        assert!(stream["records"].as_u64().unwrap() > 100, "{stream}");
        assert_eq!(stream["records"], stream["restored_equal"], "{stream}");
        assert!(
            stream["latentd_bytes"].as_u64().unwrap() > 0 && stream["kafka_zstd_bytes"].as_u64().unwrap() > 0,
            "{stream}"
        );
    }
}
