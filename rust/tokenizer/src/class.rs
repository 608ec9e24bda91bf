//! What the tokenizer classes of transformers do on top of tokenizer.json.
//!
//! tokenizer_config.json and tokenizer.json may contradict each other. Most classes take tokenizer.json; those below let some
//! keys of tokenizer_config.json win. With add_bos_token and add_eos_token this follows transformers before 5, with which the
//! models were trained and published; transformers 5 takes tokenizer.json and so leaves out the token that e5-mistral pools.

use serde_json::json;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, PostProcessor, PostProcessorWrapper, PreTokenizerWrapper};

use crate::config::Config;
use crate::files::{cannot, Message};
use crate::model::Tokenizer;

/// Their constructors write do_lower_case, strip_accents and tokenize_chinese_chars into a BertNormalizer.
const BERT_CLASSES: [&str; 11] = [
    "BertTokenizer",
    "ConvBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "FunnelTokenizer",
    "LayoutLMTokenizer",
    "MPNetTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
];

/// Their constructors write add_prefix_space, by default false, into a ByteLevel pre-tokenizer.
const BYTE_LEVEL_CLASSES: [&str; 5] =
    ["BartTokenizer", "GPT2Tokenizer", "LEDTokenizer", "LongformerTokenizer", "RobertaTokenizer"];

/// The tokens that these classes have where no file names them.
const BERT_TOKENS: [(&str, &str); 5] = [
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];
const BYTE_LEVEL_TOKENS: [(&str, &str); 7] = [
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];

/// Their constructors make the post-processor from add_bos_token and add_eos_token.
struct Framed {
    class: &'static str,
    defaults: (bool, bool),
    tokens: (&'static str, &'static str),
}
const FRAMED_CLASSES: [Framed; 5] = [
    Framed { class: "CodeLlamaTokenizer", defaults: (true, false), tokens: ("<s>", "</s>") },
    Framed { class: "CohereTokenizer", defaults: (true, false), tokens: ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>") },
    Framed { class: "GPTNeoXTokenizer", defaults: (false, false), tokens: ("<|endoftext|>", "<|endoftext|>") },
    Framed { class: "GemmaTokenizer", defaults: (true, false), tokens: ("<bos>", "<eos>") },
    Framed { class: "LlamaTokenizer", defaults: (true, false), tokens: ("<s>", "</s>") },
];

/// Code of a repository whose effect is known: gte-Qwen2 and its descendants put the end token behind each text, never one
/// before it.
const GTE_QWEN2: &str = "tokenization_qwen.Qwen2Tokenizer";

/// Classes that transformers has in Python alone: they do not read tokenizer.json.
const PYTHON_CLASSES: [&str; 29] = [
    "BartphoTokenizer",
    "BertGenerationTokenizer",
    "BertJapaneseTokenizer",
    "BertweetTokenizer",
    "BioGptTokenizer",
    "BlenderbotSmallTokenizer",
    "ByT5Tokenizer",
    "CTRLTokenizer",
    "CanineTokenizer",
    "CharacterTokenizer",
    "CpmAntTokenizer",
    "ErnieMTokenizer",
    "EsmTokenizer",
    "FSMTTokenizer",
    "FlaubertTokenizer",
    "GPTNeoXJapaneseTokenizer",
    "GPTSw3Tokenizer",
    "M2M100Tokenizer",
    "MLukeTokenizer",
    "MarianTokenizer",
    "MecabTokenizer",
    "MyT5Tokenizer",
    "PerceiverTokenizer",
    "PhobertTokenizer",
    "ProphetNetTokenizer",
    "RoCBertTokenizer",
    "TapasTokenizer",
    "XLMProphetNetTokenizer",
    "XLMTokenizer",
];

pub fn refuse_python_class(config: &Config) -> Result<(), Message> {
    if !PYTHON_CLASSES.contains(&config.class()) {
        return Ok(());
    }
    let why = format!(
        "it names the tokenizer class {}, whose code is Python and not part of this program; a tokenizer.json that does the \
         same, with the tokenizer_class PreTrainedTokenizerFast, would be read",
        config.class()
    );
    Err(cannot(config.class_source(), &why))
}

/// Changes what tokenizer.json says where the class does; returns what the user should know.
pub fn apply(tokenizer: &mut Tokenizer, config: &Config) -> Result<Vec<String>, Message> {
    let mut notes = Vec::new();
    if BERT_CLASSES.contains(&config.class()) {
        set_bert_normalizer(tokenizer, config)?;
    }
    if BYTE_LEVEL_CLASSES.contains(&config.class()) {
        set_prefix_space(tokenizer, config)?;
    }
    add_tokens(tokenizer, config)?;
    if config.code() == Some(GTE_QWEN2) {
        let eos = config.flag("add_eos_token")?.unwrap_or(false);
        set_frame(tokenizer, config, (false, eos), ("", "<|endoftext|>"))?;
        return Ok(notes);
    }
    if let Some(code) = config.code() {
        let class = if config.class().is_empty() { "PreTrainedTokenizerFast" } else { config.class() };
        notes.push(format!(
            "{}: the tokenizer's code {code} belongs to the repository and is not run; tokenizer.json is taken as {class} \
             does",
            config.file().display()
        ));
    }
    match FRAMED_CLASSES.iter().find(|framed| framed.class == config.class()) {
        Some(framed) if config.says("add_bos_token") || config.says("add_eos_token") => {
            // A null is Python's None, which is false.
            let flag = |key: &str, default: bool| match config.says(key) {
                true => Ok::<_, Message>(config.flag(key)?.unwrap_or(false)),
                false => Ok(default),
            };
            let (bos, eos) = framed.defaults;
            let ask = (flag("add_bos_token", bos)?, flag("add_eos_token", eos)?);
            set_frame(tokenizer, config, ask, framed.tokens)?;
        }
        _ => notes.extend(ignored_flags(tokenizer, config)?),
    }
    Ok(notes)
}

fn set_bert_normalizer(tokenizer: &mut Tokenizer, config: &Config) -> Result<(), Message> {
    let Some(NormalizerWrapper::BertNormalizer(old)) = tokenizer.get_normalizer() else { return Ok(()) };
    // A missing value is the constructor's default; strip_accents' default is null, "as lowercase".
    let new = BertNormalizer::new(
        old.clean_text,
        config.flag("tokenize_chinese_chars")?.unwrap_or(true),
        config.flag("strip_accents")?,
        config.flag("do_lower_case")?.unwrap_or(true),
    );
    let same = (old.handle_chinese_chars, old.strip_accents, old.lowercase)
        == (new.handle_chinese_chars, new.strip_accents, new.lowercase);
    if !same {
        tokenizer.with_normalizer(Some(new)).map_err(|error| cannot(config.file(), &error))?;
    }
    Ok(())
}

fn set_prefix_space(tokenizer: &mut Tokenizer, config: &Config) -> Result<(), Message> {
    let prefix_space = config.flag("add_prefix_space")?.unwrap_or(false);
    if let Some(PreTokenizerWrapper::ByteLevel(old)) = tokenizer.get_pre_tokenizer() {
        let new = old.clone().add_prefix_space(prefix_space);
        tokenizer.with_pre_tokenizer(Some(new));
    }
    if let Some(PostProcessorWrapper::Roberta(old)) = tokenizer.get_post_processor() {
        let trim_offsets = config.flag("trim_offsets")?.unwrap_or(true);
        let new = old.clone().add_prefix_space(prefix_space).trim_offsets(trim_offsets);
        tokenizer.with_post_processor(Some(new));
    }
    Ok(())
}

/// Tokens that the other files have and tokenizer.json lacks. They get the next free ids, whatever ids the files say.
pub fn add_tokens(tokenizer: &mut Tokenizer, config: &Config) -> Result<(), Message> {
    let known = tokenizer.get_added_vocabulary().get_added_tokens_decoder().clone();
    let same = |a: &AddedToken, b: &AddedToken| {
        let flags =
            |token: &AddedToken| [token.single_word, token.lstrip, token.rstrip, token.normalized, token.special];
        a.content == b.content && flags(a) == flags(b)
    };
    let special = config.special()?;
    let mut added: Vec<AddedToken> = Vec::new();
    for token in config.added().iter().filter(|token| !known.values().any(|old| same(old, token))) {
        let mut token = token.clone();
        token.special |= special.iter().any(|(_, other)| other.content == token.content);
        added.push(token);
    }
    for (_, token) in special {
        let is = |other: &AddedToken| other.content == token.content;
        if !known.values().any(is) && !config.added().iter().any(is) && !added.iter().any(is) {
            added.push(token);
        }
    }
    let class_tokens: &[(&str, &str)] = match config.class() {
        "MPNetTokenizer" | "GPT2Tokenizer" => &[],
        class if BERT_CLASSES.contains(&class) => &BERT_TOKENS,
        class if BYTE_LEVEL_CLASSES.contains(&class) => &BYTE_LEVEL_TOKENS,
        _ => &[],
    };
    // Those that are new to the vocabulary are left out: no model has a row for them.
    for (_, content) in class_tokens.iter().filter(|(role, _)| config.leaves_open(role)) {
        let is = |other: &AddedToken| other.content == *content;
        let in_vocabulary = tokenizer.token_to_id(content).is_some();
        if in_vocabulary && !known.values().any(is) && !config.added().iter().any(is) && !added.iter().any(is) {
            added.push(AddedToken::from(*content, true));
        }
    }
    tokenizer.add_tokens(added).map_err(|error| cannot(config.file(), &error))?;
    Ok(())
}

/// Around each text the tokens that `ask` wants: the one that begins a text, the one that ends it.
fn set_frame(
    tokenizer: &mut Tokenizer,
    config: &Config,
    ask: (bool, bool),
    defaults: (&str, &str),
) -> Result<(), Message> {
    let token = |ask: bool, role: &str, default: &str| {
        if !ask {
            return Ok(None);
        }
        let flag = format!("add_{role}");
        let spelling = config.special_token(role).or_else(|| config.leaves_open(role).then(|| default.to_owned()));
        let spelling = spelling.ok_or_else(|| config.wrong(&flag, &format!("there is no {role}")))?;
        let id = tokenizer.token_to_id(&spelling);
        let id = id.ok_or_else(|| config.wrong(&flag, &format!("the {role} '{spelling}' is not in the vocabulary")))?;
        Ok::<_, Message>(Some((spelling, id)))
    };
    let frame = (token(ask.0, "bos_token", defaults.0)?, token(ask.1, "eos_token", defaults.1)?);
    let piece = |token: &Option<(String, u32)>, type_id: u32| {
        token.iter().map(|(name, _)| json!({"SpecialToken": {"id": name, "type_id": type_id}})).collect::<Vec<_>>()
    };
    let around = |part: &str, type_id: u32| {
        let mut pieces = piece(&frame.0, type_id);
        pieces.push(json!({"Sequence": {"id": part, "type_id": type_id}}));
        pieces.extend(piece(&frame.1, type_id));
        pieces
    };
    let mut special = serde_json::Map::new();
    for (name, id) in frame.0.iter().chain(&frame.1) {
        special.insert(name.clone(), json!({"id": name, "ids": [id], "tokens": [name]}));
    }
    let pair = [around("A", 0), around("B", 1)].concat();
    let template =
        json!({"type": "TemplateProcessing", "single": around("A", 0), "pair": pair, "special_tokens": special});
    let template: TemplateProcessing =
        serde_json::from_value(template).map_err(|error| cannot(config.file(), &error))?;
    tokenizer.with_post_processor(Some(template));
    Ok(())
}

/// A flag that asks for a token which the class does not add, and tokenizer.json does not either.
fn ignored_flags(tokenizer: &Tokenizer, config: &Config) -> Result<Vec<String>, Message> {
    let mut notes = Vec::new();
    let added = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
    let empty = tokenizer.encode("", added > 0).map_err(|error| cannot(config.file(), &error))?;
    for (flag, role) in [("add_bos_token", "bos_token"), ("add_eos_token", "eos_token")] {
        let id = config.special_token(role).and_then(|token| tokenizer.token_to_id(&token));
        if config.flag(flag)? != Some(true) || id.is_some_and(|id| empty.get_ids().contains(&id)) {
            continue;
        }
        let class = if config.class().is_empty() { "a tokenizer without a tokenizer_class" } else { config.class() };
        notes.push(format!(
            "{}: {flag} has no effect on {class}, as in transformers: the special tokens are those of tokenizer.json",
            config.file().display()
        ));
    }
    Ok(notes)
}
