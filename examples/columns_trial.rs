use latentd::model::columns::{Options, trial};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let file = std::fs::read(&args[1]).unwrap();
    let rows: usize = args[2].parse().unwrap();
    let lines: Vec<&[u8]> = file.split(|b| *b == b'\n').filter(|l| !l.is_empty()).take(rows).collect();
    let half = lines.len() / 2;
    let test = &lines[half..(half + 20000).min(lines.len())];
    let alone = args.get(3).is_some_and(|a| a == "alone");
    let t = std::time::Instant::now();
    trial(&lines[..half], test, &Options { alone, ..Options::default() });
    println!("{:?}", t.elapsed());
}
