//! Tokenizers of repositories older than tokenizer.json, built as transformers converts its slow tokenizers.

use std::collections::BTreeMap;
use std::path::Path;

use ahash::AHashMap;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::AddedToken;

use crate::class;
use crate::config::Config;
use crate::files::{cannot, read_file, read_object, Message};
use crate::model::{AnyModel, Tokenizer};
use crate::word_piece;

/// vocab.txt: one token a line, its id is the line's number.
pub fn bert(directory: &Path, config: &Config) -> Result<Tokenizer, Message> {
    let path = directory.join("vocab.txt");
    let classes =
        ["", "BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer", "ConvBertTokenizer"];
    check_class(&path, config, &classes)?;
    let text = String::from_utf8(read_file(&path)?).map_err(|error| cannot(&path, &error))?;
    // Lines end as in Python's text mode; a token may end in a blank of another kind. Of equal tokens the last one counts.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines = text.strip_suffix('\n').unwrap_or(&text).split('\n');
    let vocabulary: BTreeMap<&str, u32> = lines.zip(0..).collect();

    let token = |key: &str, default: &str| config.special_token(key).unwrap_or_else(|| default.to_owned());
    let (unk, cls, sep) = (token("unk_token", "[UNK]"), token("cls_token", "[CLS]"), token("sep_token", "[SEP]"));
    let id = |token: &str| require(&path, &vocabulary, token);
    id(&unk)?;
    let entries: Vec<_> = vocabulary.iter().map(|(token, id)| (token.to_string(), *id)).collect();
    let model = match word_piece::WordPiece::new(&entries, unk.clone(), "##".into(), 100) {
        Some(model) => AnyModel::WordPiece(model),
        None => WordPiece::builder()
            .vocab(entries.into_iter().collect::<AHashMap<_, _>>())
            .unk_token(unk.clone())
            .build()
            .map_err(|error| cannot(&path, &error))?
            .into(),
    };
    let post_processor = TemplateProcessing::builder()
        .try_single(format!("{cls}:0 $A:0 {sep}:0"))
        .and_then(|builder| builder.try_pair(format!("{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1")))
        .map_err(|error| cannot(&path, &error))?
        .special_tokens(vec![(cls.clone(), id(&cls)?), (sep.clone(), id(&sep)?)])
        .build()
        .map_err(|error| cannot(&path, &error))?;

    // Without the "basic" step (do_basic_tokenize: false) the conversion switches these three off.
    let basic = config.flag("do_basic_tokenize")?.unwrap_or(true);
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(WordPieceDecoder::default()));
    tokenizer.with_post_processor(Some(post_processor));
    let normalizer = BertNormalizer::new(
        true,
        basic && config.flag("tokenize_chinese_chars")?.unwrap_or(true),
        if basic { config.flag("strip_accents")? } else { Some(false) },
        basic && config.flag("do_lower_case")?.unwrap_or(true),
    );
    tokenizer.with_normalizer(Some(normalizer)).map_err(|error| cannot(&path, &error))?;

    let special = [unk, sep, token("pad_token", "[PAD]"), cls, token("mask_token", "[MASK]")];
    add_special(&mut tokenizer, &path, special.into_iter().map(|token| AddedToken::from(token, true)))?;
    class::add_tokens(&mut tokenizer, config)?;
    Ok(tokenizer)
}

/// vocab.json and merges.txt: byte-level BPE.
pub fn roberta(directory: &Path, config: &Config) -> Result<Tokenizer, Message> {
    let (path, merges) = (directory.join("vocab.json"), directory.join("merges.txt"));
    check_class(&path, config, &["", "RobertaTokenizer", "LongformerTokenizer", "BartTokenizer"])?;
    let vocabulary = read_object(&path)?;
    let vocabulary: BTreeMap<&str, u32> = vocabulary
        .iter()
        .map(|(token, id)| {
            let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let number = number.ok_or_else(|| cannot(&path, &format!("the token '{token}' has the id {id}")))?;
            Ok((token.as_str(), number))
        })
        .collect::<Result<_, Message>>()?;
    let entries: AHashMap<_, _> = vocabulary.iter().map(|(token, id)| (token.to_string(), *id)).collect();
    let model = BPE::builder().vocab_and_merges(entries, read_merges(&merges)?).build();
    let model = model.map_err(|error| cannot(&merges, &error))?;

    let token = |key: &str, default: &str| config.special_token(key).unwrap_or_else(|| default.to_owned());
    let (cls, sep) = (token("cls_token", "<s>"), token("sep_token", "</s>"));
    let pair = |token: &str| Ok::<_, Message>((token.to_owned(), require(&path, &vocabulary, token)?));
    let add_prefix_space = config.flag("add_prefix_space")?.unwrap_or(false);
    let trim_offsets = config.flag("trim_offsets")?.unwrap_or(true);
    let post_processor =
        RobertaProcessing::new(pair(&sep)?, pair(&cls)?).trim_offsets(trim_offsets).add_prefix_space(add_prefix_space);
    let mut tokenizer = Tokenizer::new(model.into());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::default().add_prefix_space(add_prefix_space)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    tokenizer.with_post_processor(Some(post_processor));

    let mask = AddedToken::from(token("mask_token", "<mask>"), true).lstrip(true); // it takes the blank before it along
    let plain = [token("bos_token", "<s>"), token("eos_token", "</s>"), token("unk_token", "<unk>"), sep];
    let plain = plain.into_iter().chain([token("pad_token", "<pad>"), cls]);
    let special = plain.map(|token| AddedToken::from(token, true)).chain([mask]);
    add_special(&mut tokenizer, &path, special)?;
    class::add_tokens(&mut tokenizer, config)?;
    Ok(tokenizer)
}

/// Two pieces a line, with a blank between them.
fn read_merges(path: &Path) -> Result<Vec<(String, String)>, Message> {
    let text = String::from_utf8(read_file(path)?).map_err(|error| cannot(path, &error))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version"));
    let merge = |(number, line): (usize, &str)| {
        let parts = line.split_once(' ').filter(|(_, second)| !second.contains(' '));
        let (first, second) = parts
            .ok_or_else(|| cannot(path, &format!("line {}: expected two pieces with a blank between", number + 1)))?;
        Ok((first.to_owned(), second.to_owned()))
    };
    lines.map(merge).collect()
}

fn check_class(path: &Path, config: &Config, known: &[&str]) -> Result<(), Message> {
    if known.contains(&config.class()) {
        return Ok(());
    }
    let why = format!("the tokenizer class {} needs a tokenizer.json, which is missing", config.class());
    Err(cannot(path, &why))
}

fn require(path: &Path, vocabulary: &BTreeMap<&str, u32>, token: &str) -> Result<u32, Message> {
    let missing = || cannot(path, &format!("the special token '{token}' is missing from this vocabulary"));
    vocabulary.get(token).copied().ok_or_else(missing)
}

/// Special tokens that the vocabulary lacks (a model without [MASK]) are left out.
fn add_special(
    tokenizer: &mut Tokenizer,
    path: &Path,
    tokens: impl Iterator<Item = AddedToken>,
) -> Result<(), Message> {
    let tokens: Vec<_> = tokens.filter(|token| tokenizer.token_to_id(&token.content).is_some()).collect();
    tokenizer.add_special_tokens(tokens).map_err(|error| cannot(path, &error))?;
    Ok(())
}
