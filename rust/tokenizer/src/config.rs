//! What the files beside tokenizer.json say: tokenizer_config.json, special_tokens_map.json, added_tokens.json and the class
//! that config.json leads to. Read as transformers reads them, which lets some of them override others.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::AddedToken;

use crate::files::{cannot, exists, read_object, read_object_if_there, Message, Object};

/// In the order in which tokens that are new get their ids.
pub const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The classes that AutoTokenizer takes where none is named: config.json's model_type and the class.
const CLASS_OF_TYPE: [(&str, &str); 25] = [
    ("albert", "AlbertTokenizer"),
    ("bart", "BartTokenizer"),
    ("bert", "BertTokenizer"),
    ("camembert", "CamembertTokenizer"),
    ("clip", "CLIPTokenizer"),
    ("code_llama", "CodeLlamaTokenizer"),
    ("cohere", "CohereTokenizer"),
    ("deberta-v2", "DebertaV2Tokenizer"),
    ("distilbert", "DistilBertTokenizer"),
    ("electra", "ElectraTokenizer"),
    ("gemma", "GemmaTokenizer"),
    ("gemma2", "GemmaTokenizer"),
    ("gemma3", "GemmaTokenizer"),
    ("gemma3_text", "GemmaTokenizer"),
    ("gpt2", "GPT2Tokenizer"),
    ("gpt_neox", "GPTNeoXTokenizer"),
    ("llama", "LlamaTokenizer"),
    ("longformer", "LongformerTokenizer"),
    ("mistral", "LlamaTokenizer"),
    ("mixtral", "LlamaTokenizer"),
    ("mobilebert", "MobileBertTokenizer"),
    ("mpnet", "MPNetTokenizer"),
    ("nomic_bert", "BertTokenizer"),
    ("roberta", "RobertaTokenizer"),
    ("xlm-roberta", "XLMRobertaTokenizer"),
];

/// Any of the files may be missing.
#[derive(Default)]
pub struct Config {
    values: Object,
    special_tokens: Object,
    added: Vec<AddedToken>, // of added_tokens_decoder or added_tokens.json, in the order of their ids
    has_decoder: bool,      // added_tokens_decoder: special_tokens_map.json and added_tokens.json are then of the past
    class: String,
    class_source: PathBuf,
    code: Option<String>, // of the repository: "file.Class"
    file: PathBuf,
}

impl Config {
    pub fn read(directory: &Path) -> Result<Self, Message> {
        let file = directory.join("tokenizer_config.json");
        let model_file = directory.join("config.json");
        let model = read_object_if_there(&model_file)?;
        let text = |object: &Object, key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut config = Self {
            values: read_object_if_there(&file)?,
            special_tokens: read_object_if_there(&directory.join("special_tokens_map.json"))?,
            ..Default::default()
        };
        config.code = config.values.get("auto_map").and_then(code_of);
        config.class_source = file.clone();
        let named = text(&config.values, "tokenizer_class").or_else(|| {
            config.class_source = model_file;
            text(&model, "tokenizer_class")
        });
        let class = named.or_else(|| {
            let model_type = text(&model, "model_type")?;
            CLASS_OF_TYPE.iter().find(|(name, _)| *name == model_type).map(|(_, class)| class.to_string())
        });
        let class = class.unwrap_or_default();
        config.class = class.strip_suffix("Fast").unwrap_or(&class).to_owned();
        config.file = file;
        config.has_decoder = config.values.contains_key("added_tokens_decoder");
        config.read_added(directory)?;
        Ok(config)
    }

    /// tokenizer_class without "Fast"; "" if there is none.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The file that names the class, or whose model_type does.
    pub fn class_source(&self) -> &Path {
        &self.class_source
    }

    /// The tokenizer class in the repository's own Python code, as "file.Class" without "Fast".
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn says(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// None: missing or null.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, Message> {
        match self.values.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(cannot(&self.file, &format!("'{key}' must be true, false or null, found {other}"))),
        }
    }

    /// The spelling of "cls_token" and the like. None: no file names it, or it is null.
    pub fn special_token(&self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        Some(value.as_str().or_else(|| value.get("content")?.as_str())?.to_owned())
    }

    /// False also where a file says null: the class's own token does not count then.
    pub fn leaves_open(&self, key: &str) -> bool {
        self.value(key).is_none()
    }

    /// Tokens of added_tokens_decoder, else of added_tokens.json.
    pub fn added(&self) -> &[AddedToken] {
        &self.added
    }

    /// The tokens with a role, then those without, as far as the files name them. Strings are special tokens, matched in the
    /// text as it is.
    pub fn special(&self) -> Result<Vec<(String, AddedToken)>, Message> {
        let mut tokens = Vec::new();
        for role in ROLES {
            if let Some(value) = self.value(role).filter(|value| !value.is_null()) {
                tokens.push((role.to_owned(), special(value).map_err(|why| self.wrong(role, &why))?));
            }
        }
        let own = |key: &str| key.ends_with("_token") && !ROLES.contains(&key);
        for (key, value) in self.values.iter().filter(|(key, value)| own(key) && value.is_string()) {
            tokens.push((key.clone(), special(value).map_err(|why| self.wrong(key, &why))?));
        }
        let key = ["extra_special_tokens", "additional_special_tokens"]
            .into_iter()
            .find(|key| self.value(key).is_some_and(|value| !is_empty(value)));
        if let Some(key) = key {
            let list: Vec<&Value> = match self.value(key) {
                Some(Value::Array(list)) => list.iter().collect(),
                Some(Value::Object(named)) => named.values().collect(),
                _ => return Err(self.wrong(key, "expected a list of tokens, or an object of them")),
            };
            for value in list {
                tokens.push((key.to_owned(), special(value).map_err(|why| self.wrong(key, &why))?));
            }
        }
        Ok(tokens)
    }

    pub fn wrong(&self, key: &str, why: &str) -> Message {
        cannot(&self.file, &format!("'{key}': {why}"))
    }

    fn value(&self, key: &str) -> Option<&Value> {
        let old = if self.has_decoder { None } else { self.special_tokens.get(key) };
        old.or_else(|| self.values.get(key))
    }

    fn read_added(&mut self, directory: &Path) -> Result<(), Message> {
        let mut tokens = Vec::new();
        if self.has_decoder {
            let wrong = |why: &str| self.wrong("added_tokens_decoder", why);
            let Some(Value::Object(decoder)) = self.values.get("added_tokens_decoder") else {
                return Err(wrong("expected an object of ids and tokens"));
            };
            for (id, value) in decoder {
                let id: u32 = id.parse().map_err(|_| wrong(&format!("'{id}' is not a token id")))?;
                tokens.push((id, token(value, false).map_err(|why| wrong(&why))?));
            }
        } else {
            let path = directory.join("added_tokens.json");
            let special = self.special()?;
            let added = if exists(&path) { read_object(&path)? } else { Object::new() };
            for (content, id) in added {
                let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
                let id = number.ok_or_else(|| cannot(&path, &format!("the token '{content}' has the id {id}")))?;
                let is_special = special.iter().any(|(_, token)| token.content == content);
                tokens.push((id, AddedToken::from(content, is_special)));
            }
        }
        tokens.sort_by_key(|(id, _)| *id);
        self.added = tokens.into_iter().map(|(_, token)| token).collect();
        Ok(())
    }
}

/// "file.Class" of an auto_map for AutoTokenizer: its fast class (the second), else its slow one.
fn code_of(auto_map: &Value) -> Option<String> {
    let names = auto_map.get("AutoTokenizer").unwrap_or(auto_map);
    let name = match names {
        Value::Array(list) => list.iter().rev().find_map(Value::as_str)?,
        other => other.as_str()?,
    };
    let name = name.rsplit("--").next().unwrap_or(name); // "owner/repository--file.Class"
    Some(name.strip_suffix("Fast").unwrap_or(name).to_owned())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(named) => named.is_empty(),
        _ => false,
    }
}

fn special(value: &Value) -> Result<AddedToken, String> {
    let mut token = token(value, true)?;
    token.special = true;
    Ok(token)
}

/// A token as the files write it: a string, or an object with "content".
fn token(value: &Value, special: bool) -> Result<AddedToken, String> {
    let content = value.as_str().or_else(|| value.get("content")?.as_str());
    let content = content.ok_or_else(|| format!("expected a token, found {}", brief(value)))?;
    let flag = |key: &str, default: bool| match value.get(key) {
        None => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(format!("the token '{content}': '{key}' must be true or false, found {}", brief(other))),
    };
    let special = flag("special", special)?;
    Ok(AddedToken::from(content, special)
        .single_word(flag("single_word", false)?)
        .lstrip(flag("lstrip", false)?)
        .rstrip(flag("rstrip", false)?)
        .normalized(flag("normalized", !special)?))
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 {
        return text;
    }
    text.chars().take(80).collect::<String>() + "…"
}
