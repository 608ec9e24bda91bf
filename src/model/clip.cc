// CLIP: a tower for texts (causal, the row of the end token speaks for the text) and one for images (patches and a
// class token), each with a projection into one space.
#include <fmt/format.h>

#include "loader/vision_config.h"
#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

// What both towers have: layers with norms before, and a projection of one row a sequence.
struct Tower {
  Transformer stack;
  Linear projection;
  size_t hidden = 0;

  // Layers of the range, which may end before or behind the tower's own.
  void run(const ModelInput& input, LayerRange range, View<float> x, const AttnBackend& backend, Arena& arena,
           Team& team, ModelOutput& output) const {
    if (range.first == 0 || range.first < stack.layers()) stack.forward(x, input, range, backend, arena, team, output);
  }
};

struct TowerDefaults {
  int64_t hidden, intermediate, layers, heads;
};

class ClipModel final : public Model {
 public:
  ClipModel(const ConfigView& config, Weights& weights) : vision_(read_vision_shape(config)) {
    weights.ignore("logit_scale");
    weights.ignore("text_model.embeddings.position_ids");
    weights.ignore("vision_model.embeddings.position_ids");
    const auto dimensions = static_cast<size_t>(config.integer_or("projection_dim", 512, 1, 1 << 16));
    const ConfigView text = tower_config(config, "text_config"), vision = tower_config(config, "vision_config");
    shape_.hidden_size = dimensions;
    shape_.vocab_size = static_cast<size_t>(text.integer_or("vocab_size", 49408, 1, 1 << 24));
    shape_.positions = static_cast<size_t>(text.integer_or("max_position_embeddings", 77, 1, 1 << 16));
    shape_.image_tokens = vision_.tokens();
    end_token_ = static_cast<int32_t>(text.integer_or("eos_token_id", 49407, 0, INT32_MAX));

    load_tower(texts_, text, {512, 2048, 12, 8}, weights, "text_model.", "text_projection", dimensions);
    const float eps = eps_of(text);
    shape_.heads = texts_.stack.heads();
    words_.word = Embedding(weights, "text_model.embeddings.token_embedding.weight", shape_.vocab_size, texts_.hidden);
    words_.position =
        AddedEmbedding(weights, "text_model.embeddings.position_embedding.weight", shape_.positions, texts_.hidden);
    words_.embedding_size = texts_.hidden;
    texts_.stack.set_final_norm(Norm::layer(weights, "text_model.final_layer_norm", texts_.hidden, eps));

    load_tower(images_, vision, {768, 3072, 12, 12}, weights, "vision_model.", "visual_projection", dimensions);
    for (size_t i = 0; i < images_.stack.layers(); ++i) images_.stack.layer(i).mask.bidirectional = true;
    load_patches(weights);
    // The name is OpenAI's.
    images_norm_ = Norm::layer(weights, "vision_model.pre_layrnorm", images_.hidden, eps_of(vision));
    images_.stack.set_final_norm(Norm::layer(weights, "vision_model.post_layernorm", images_.hidden, eps_of(vision)));
  }

  ModelShape shape() const override { return shape_; }
  size_t layers() const override { return std::max(texts_.stack.layers(), images_.stack.layers()); }
  std::vector<AttentionMask> masks() const override {
    std::vector<AttentionMask> out = texts_.stack.masks();
    for (const AttentionMask& mask : images_.stack.masks()) out.push_back(mask);
    return out;
  }
  size_t weight_bytes() const override {
    return texts_.stack.weight_bytes() + images_.stack.weight_bytes() + words_.position.bytes() +
           class_row_.size() * sizeof(float) + patch_positions_.bytes();
  }
  void reserve(size_t) override {}
  size_t arena_floats(size_t tokens, size_t max_seqlen, size_t team, const AttnBackend& backend) const override {
    return texts_.stack.arena_floats(tokens, max_seqlen, team, backend) +
           images_.stack.arena_floats(tokens, max_seqlen, team, backend) +
           vision_.tokens() * padded_stride(patch_values()) + 2 * tokens * padded_stride(shape_.hidden_size) + 256;
  }

  // The rule of transformers, with the one that it keeps for OpenAI's own files: their eos_token_id is wrong.
  size_t last_row(std::span<const int32_t> ids) const override {
    constexpr int32_t kWrongEndToken = 2;
    const auto end = end_token_ == kWrongEndToken ? std::max_element(ids.begin(), ids.end())
                                                  : std::find(ids.begin(), ids.end(), end_token_);
    return end == ids.end() ? 0 : static_cast<size_t>(end - ids.begin());
  }

  void forward(const ModelInput& input, LayerRange range, const AttnBackend& backend, Arena& arena, Team& team,
               ModelOutput& output) const override {
    const bool ends = range.last >= layers();
    const View<float> out = ends ? output.resize(input.sequences(), shape_.hidden_size) : View<float>{};
    for (size_t p = 0; p < input.parts.size(); ++p) {
      const ModelInput& part = input.parts[p];
      if (part.sequences() == 0) continue;
      const bool images = p == ModelInput::kImages;
      const Tower& tower = images ? images_ : texts_;
      ModelOutput& state = output.part(p);
      const View<float> x = state.resize_state(part.tokens(), tower.hidden);
      if (range.first == 0 && images) embed_images(part, x, arena, team);
      if (range.first == 0 && !images) words_.run(part, x, arena);
      tower.run(part, range, x, backend, arena, team, state);
      if (!ends) continue;
      const View<float> features = arena.matrix(part.sequences(), shape_.hidden_size);
      tower.projection.run(state.hidden(), features);
      for (size_t s = 0; s < features.rows; ++s)
        std::copy_n(features.row(s), features.cols, out.row(static_cast<size_t>(part.part_sequences[s])));
    }
  }

 private:
  static float eps_of(const ConfigView& config) { return static_cast<float>(config.number_or("layer_norm_eps", 1e-5)); }
  size_t patch_values() const { return 3 * vision_.patch_size * vision_.patch_size; }

  static void load_tower(Tower& tower, const ConfigView& config, const TowerDefaults& defaults, Weights& weights,
                         const std::string& prefix, const std::string& projection, size_t dimensions) {
    const auto size = [&](const char* key, int64_t fallback, int64_t most) {
      return static_cast<size_t>(config.integer_or(key, fallback, 1, most));
    };
    const size_t hidden = size("hidden_size", defaults.hidden, 1 << 16),
                 intermediate = size("intermediate_size", defaults.intermediate, 1 << 20),
                 layers = size("num_hidden_layers", defaults.layers, 1024),
                 heads = size("num_attention_heads", defaults.heads, 1024);
    if (hidden % heads != 0) {
      throw LoadError(fmt::format("{}: hidden_size ({}) of the {} must be a multiple of num_attention_heads ({})",
                                  config.file(), hidden, prefix, heads));
    }
    const std::string name = config.string_or("hidden_act", "quick_gelu");
    const auto activation = activation_from_name(name);
    if (!activation)
      throw LoadError(fmt::format("{}: hidden_act is '{}', which is not supported", config.file(), name));
    const float eps = eps_of(config);
    tower.hidden = hidden;
    tower.stack = Transformer(hidden, equal_heads(hidden, heads), intermediate);
    WeightArena& arena = tower.stack.arena();
    for (size_t i = 0; i < layers; ++i) {
      const std::string at = fmt::format("{}encoder.layers.{}.", prefix, i), self = at + "self_attn.";
      TransformerLayer& layer = tower.stack.add_layer();
      layer.attention_in = Norm::layer(weights, at + "layer_norm1", hidden, eps);
      layer.qkv = load_qkv(tower.stack, weights, {self + "q_proj", self + "k_proj", self + "v_proj"}, hidden);
      layer.mask = scaled_mask(hidden / heads);
      layer.out = Linear::from(weights, arena, self + "out_proj", hidden, hidden);
      layer.mlp_in = Norm::layer(weights, at + "layer_norm2", hidden, eps);
      layer.activation = *activation;
      layer.up = Linear::from(weights, arena, at + "mlp.fc1", hidden, intermediate);
      layer.down = Linear::from(weights, arena, at + "mlp.fc2", intermediate, hidden);
    }
    tower.projection = Linear(hidden, dimensions, arena);
    tower.projection.take(WeightFormat::kFloat32);
    tower.projection.load(weights, WeightRows::of(projection, dimensions, false), 0);
  }

  // The convolution's steps are as long as its kernel: it is a product of patches.
  void load_patches(Weights& weights) {
    const std::string name = "vision_model.embeddings.", kernel = name + "patch_embedding.weight";
    const size_t hidden = images_.hidden, patch = vision_.patch_size;
    const TensorView& tensor = weights.get(kernel, {hidden, 3, patch, patch});
    std::vector<float> values(tensor.elements());
    to_float32(tensor, 0, values.size(), values.data());
    weights.set(kernel, {hidden, patch_values()}, std::move(values));
    patches_ = Linear(patch_values(), hidden, images_.stack.arena());
    patches_.take(WeightFormat::kFloat32);
    patches_.load(weights, {kernel, "", hidden}, 0);
    class_row_.resize(hidden);
    to_float32(weights.get(name + "class_embedding", {hidden}), 0, hidden, class_row_.data());
    patch_positions_ = AddedEmbedding(weights, name + "position_embedding.weight", vision_.tokens(), hidden);
  }

  void embed_images(const ModelInput& input, View<float> x, Arena& arena, Team& team) const {
    const size_t count = vision_.tokens() - 1;
    const View<float> patches = arena.matrix(count, patch_values());
    for (size_t s = 0; s < input.sequences(); ++s) {
      const View<float> rows = x.slice_rows(static_cast<size_t>(input.cu_seqlens[s]), vision_.tokens());
      cut_patches(*input.images[s], patches);
      std::copy_n(class_row_.data(), images_.hidden, rows.row(0));
      team.run([&](const Part& part) { patches_.run(patches, rows.slice_rows(1, count), Activation::kNone, part); });
      for (size_t t = 0; t < rows.rows; ++t) patch_positions_.add(t, rows.row(t));
    }
    images_norm_.run(x, x);
  }

  // A patch's values in the kernel's order: channel, row, column.
  void cut_patches(const Pixels& image, View<float> patches) const {
    const size_t patch = vision_.patch_size, edge = vision_.edge_patches();
    for (size_t p = 0; p < patches.rows; ++p) {
      float* out = patches.row(p);
      const size_t top = p / edge * patch, left = p % edge * patch;
      for (size_t c = 0; c < 3; ++c) {
        const std::array<float, 256>& values = (*image.values)[c];
        for (size_t y = 0; y < patch; ++y) {
          const uint8_t* in = image.rgb.data() + ((top + y) * image.size + left) * 3 + c;
          for (size_t i = 0; i < patch; ++i) *out++ = values[in[3 * i]];
        }
      }
    }
  }

  ModelShape shape_;
  VisionShape vision_;
  int32_t end_token_ = 0;
  Tower texts_, images_;
  InputEmbedding words_;
  Linear patches_;
  std::vector<float> class_row_;
  AddedEmbedding patch_positions_;
  Norm images_norm_;
};

WDE_REGISTER(ModelRegistry::instance().add({{"CLIPModel"},
                                            "clip",
                                            true,
                                            [](const ConfigView& config, Weights& weights) {
                                              return std::make_unique<ClipModel>(config, weights);
                                            },
                                            {},
                                            {{"embed", "image_text"}, {"tokenize", "tokenize"}}}));

}  // namespace
}  // namespace wde
