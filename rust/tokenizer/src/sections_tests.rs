//! A text that is read in sections has the tokens that it has in one piece.

use std::path::Path;

use crate::encode::{encode_part, Failure};
use crate::open::{open, Opened};
use crate::sections::{encode_text, Cuts, Wanted};

fn model(name: &str) -> Opened {
    open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/models").join(name), false, false).unwrap()
}

/// Some 200 KB of words and of all that may stand between them.
fn text(seed: usize, special: &str) -> String {
    let parts = [
        "hello",
        " ",
        "world",
        " ",
        "the",
        " ",
        "中文字",
        "  ",
        "e\u{301}te\u{301}",
        " \u{301}",
        "\u{200b}",
        "\t",
        "\n",
        "!",
        " ",
        "a1b2",
        " ",
        special,
        " ",
        "x\u{1}y",
        "\u{2581}",
        " ",
        "ﷺ",
        " ",
        "naïve",
        " ",
        "🫨",
        " ",
        "Zürich,",
        " ",
        "it's",
        " ",
    ];
    let (mut state, mut out) = (seed as u64, String::new());
    while out.len() < 200_000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let at = (state >> 33) as usize;
        if at % 4001 == 0 {
            out.push_str(&" ".repeat(1000 + at % 50_000));
        }
        if at % 8009 == 0 {
            out.push_str(&"z".repeat(at % 30_000));
        }
        out.push_str(parts[at % parts.len()]);
    }
    out
}

fn check(opened: &Opened, text: &str, wanted: Wanted, offsets: bool) {
    let tokenizer = &opened.tokenizer;
    let whole = encode_part(tokenizer, text, 0, None, offsets).unwrap();
    let got = encode_text(tokenizer, opened.cuts, text, 0, wanted, offsets).unwrap();
    let all = whole.len();
    let (kept, from) = match wanted {
        Wanted::All => (all..all + 1, 0),
        Wanted::First(n) => (n.min(all)..all + 1, 0),
        Wanted::Last(n) => (n.min(all)..all + 1, all - got.len()),
    };
    assert!(kept.contains(&got.len()), "{} tokens of {all}", got.len());
    // What is beyond the tokens that were asked for may be those of a word that was cut.
    let sure = if let Wanted::First(n) = wanted { n.min(all) } else { got.len() };
    assert_eq!(got.get_ids()[..sure], whole.get_ids()[from..from + sure]);
    if offsets {
        assert_eq!(got.get_offsets()[..sure], whole.get_offsets()[from..from + sure]);
    }
}

#[test]
fn sections_have_the_tokens_of_the_text() {
    for (name, special, cuts) in [
        ("bert-mean", "[MASK]", Cuts::Anywhere),
        ("xlm-roberta-cls", "<mask>", Cuts::Anywhere),
        ("t5-encoder", "</s>", Cuts::Anywhere),
        ("roberta-mean", "<mask>", Cuts::Once),
        ("qwen3-embedding", "<|endoftext|>", Cuts::Once),
        ("e5-mistral", "</s>", Cuts::Once),
        ("embeddinggemma", "<eos>", Cuts::Once),
        ("clip", "<|endoftext|>", Cuts::Once),
    ] {
        let opened = model(name);
        assert_eq!(opened.cuts, cuts, "{name}");
        let limits = [1, 5000, 60_000];
        for (seed, &limit) in limits.iter().enumerate() {
            let text = text(seed, special);
            check(&opened, &text, Wanted::First(limit), seed % 2 == 0);
            if cuts == Cuts::Anywhere {
                check(&opened, &text, Wanted::All, seed % 2 == 1);
                check(&opened, &text, Wanted::Last(limit), seed % 2 == 0);
            }
        }
    }
}

#[test]
fn blanks_at_the_ends_are_few_and_count() {
    for name in ["bert-mean", "xlm-roberta-cls"] {
        let opened = model(name);
        for text in ["hello", " hello", "hello ", " ", ""] {
            let long = text.replace(' ', &" ".repeat(1 << 20));
            let ids = |text: &str| {
                let wanted = if text.len() % 2 == 0 { Wanted::All } else { Wanted::First(100) };
                encode_text(&opened.tokenizer, opened.cuts, text, 0, wanted, true).unwrap().get_ids().to_vec()
            };
            assert_eq!(ids(&long), ids(text), "{name} {text:?}");
        }
    }
}

#[test]
fn what_cannot_be_parted_is_bounded() {
    let opened = model("xlm-roberta-cls");
    let read = |text: &str, wanted| encode_text(&opened.tokenizer, opened.cuts, text, 0, wanted, false);
    let unbroken = "a".repeat(9 << 20);
    assert!(read(&unbroken, Wanted::First(100)).unwrap().len() >= 100);
    assert!(read(&unbroken, Wanted::Last(100)).unwrap().len() >= 100);
    let Err(Failure::InvalidInput(message)) = read(&unbroken, Wanted::All) else { panic!("it was read") };
    assert!(message.contains("9437184 bytes") && message.contains("at most 4194304"), "{message}");
}
