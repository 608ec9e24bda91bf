// image_text: texts as the processor "text" takes them, and images for a model that has a tower for them.
#include <fmt/format.h>

#include "input/input_processor.h"
#include "input/resize_image.h"
#include "loader/vision_config.h"

namespace wde {
namespace {

class ImageTextInput final : public InputProcessor {
 public:
  explicit ImageTextInput(const InputConfig& config)
      : text_(input_processors().get("text")(config)),
        spec_(read_image_spec(config.directory, config.image_resize)),
        shape_(read_vision_shape(*config.config)) {
    const size_t height = spec_.crop ? spec_.crop_height : spec_.height,
                 width = spec_.crop ? spec_.crop_width : spec_.width;
    if (height != shape_.image_size || width != shape_.image_size) {
      throw LoadError(
          fmt::format("{}: the images that preprocessor_config.json makes must be {} x {}, as the model's "
                      "image_size says, found {} x {}",
                      config.directory, shape_.image_size, shape_.image_size, height, width));
    }
  }

  bool takes_images() const override { return true; }

  Result<TokenizeJob> process(Request request) const override {
    const auto* image = std::get_if<Image>(&request.input);
    if (image == nullptr) return text_->process(std::move(request));
    auto decoded = decode_image(image->file);
    if (!decoded.ok()) return decoded.error();
    auto prepared = prepare_image(decoded.value(), spec_);
    if (!prepared.ok()) return prepared.error();
    TokenizeJob job;
    job.options = options_of(request);
    job.image = std::make_shared<Pixels>(Pixels{shape_.image_size, std::move(prepared.value().rgb), spec_.values});
    job.ids.assign(shape_.tokens(), 0);
    return job;
  }

 private:
  std::unique_ptr<InputProcessor> text_;
  ImageSpec spec_;
  VisionShape shape_;
};

WDE_REGISTER(input_processors().add("image_text", [](const InputConfig& config) {
  return std::make_unique<ImageTextInput>(config);
}));

}  // namespace
}  // namespace wde
