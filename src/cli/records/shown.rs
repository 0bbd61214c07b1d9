//! Records for a terminal.

/// Most characters of one.
const MOST: usize = 200;

/// A record for a terminal: nothing that moves it, and not all of a long one.
pub fn shown(record: &[u8]) -> String {
    // As many bytes as so many characters can take, and one more.
    let text = String::from_utf8_lossy(&record[..record.len().min(4 * MOST + 4)]);
    let mut characters = text.chars().map(|it| if it.is_control() { char::REPLACEMENT_CHARACTER } else { it });
    let shown: String = characters.by_ref().take(MOST).collect();
    if characters.next().is_some() { shown + "\u{2026}" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_record_moves_a_terminal_and_long_ones_are_cut() {
        assert_eq!(shown(b"a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(shown(&[b'x'; MOST]), "x".repeat(MOST));
        for wide in ["x", "\u{20ac}", "\u{1f980}"] {
            assert_eq!(shown(wide.repeat(MOST + 1).as_bytes()), wide.repeat(MOST) + "\u{2026}");
        }
        assert_eq!(shown(&[0xff, b'a']), "\u{fffd}a");
    }
}
