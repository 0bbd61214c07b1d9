//! `columns`: records of fields, coded field by field with distributions learned from the topic.
#![allow(dead_code)]
mod alphabet;
mod base;
mod chain;
mod coding;
mod dense;
mod feature;
mod model;
mod parts;
mod registers;
mod text;
mod train;

pub use train::Options;

/// For measuring.
pub fn trial(train_on: &[&[u8]], test: &[&[u8]], options: &Options) {
    use crate::payload::fields::Steps;
    let parts = train::train(train_on, options);
    let model = model::Model::new(&parts);
    let mut registers = parts.start.clone();
    let mut steps = Steps::default();
    let mut total = 0.0;
    for record in test {
        let mut price = coding::Price::default();
        steps.walk(&model.grammar, record);
        model.encode(record, &steps, &mut registers, &mut price, &mut model::Inline);
        total += price.bits as f64 / 65536.0;
    }
    println!("{:.3} bytes a record", total / 8.0 / test.len() as f64);
    let mut columns: Vec<(f64, usize)> = model.prices(test, &parts.start).into_iter().zip(0..).collect();
    columns.truncate(parts.columns.len());
    let slots = parts.grammar.slots().len();
    for (bits, column) in columns {
        let part = &parts.columns[column];
        if bits < 0.0005 {
            continue;
        }
        let name = if column < slots { parts.grammar.slots()[column].name.clone() } else { format!("choice {}", column - slots) };
        println!("{name}: {bits:.3} bits; {:?} u{} {:?} {}d {}t", part.alphabet.kind, part.alphabet.unit, part.alphabet.base, part.alphabet.differences.len(), part.alphabet.texts.len());
        for (context, level) in part.contexts.iter().zip(&part.chain.levels) {
            let names: Vec<String> = context.features.iter().map(|f| {
                let c = usize::from(f.column);
                let n = if c < slots { parts.grammar.slots()[c].name.clone() } else { format!("choice {}", c - slots) };
                format!("{n}{}.{:?}", if f.before { "'" } else { "" }, f.aspect)
            }).collect();
            println!("    {} ({} contexts, {} counts)", names.join(" + "), level.sparse.len(), level.sparse.iter().map(|s| s.counts.len()).sum::<usize>());
        }
    }
}
