// Images: the pixels that Pillow and torchvision make of the same files (tests/golden/images/images.json), and files
// that are none.
#include <fstream>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "input/resize_image.h"
#include "test_paths.h"
#include "unit/loader_files.h"

namespace wde {
namespace {

namespace fs = std::filesystem;

fs::path folder() { return fs::path(test::kData).parent_path() / "images"; }

std::string read(const std::string& name) {
  std::ifstream in(folder() / name, std::ios::binary);
  EXPECT_TRUE(in) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

nlohmann::json recorded() { return nlohmann::json::parse(std::ifstream(folder() / "images.json")); }

uint32_t crc32(const std::vector<uint8_t>& bytes) {
  uint32_t crc = ~0u;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

// The forms that make_clip.py records.
ImageSpec form(const std::string& name) {
  ImageSpec spec;
  if (name == "30") {
    spec.shortest_edge = spec.crop_height = spec.crop_width = 30;
  } else if (name == "crop40of24") {
    spec.shortest_edge = 24;
    spec.crop_height = spec.crop_width = 41;
  } else if (name == "square") {
    spec.height = 28;
    spec.width = 31;
    spec.crop = false;
  } else {
    spec.shortest_edge = 33;
    spec.crop_height = spec.crop_width = 32;
    spec.filter = ImageFilter::kBilinear;
  }
  return spec;
}

std::string error_of(std::string_view file) {
  const auto result = decode_image(file);
  return result.ok() ? "" : result.error().message;
}

TEST(Image, DecodesToPillowsBytes) {
  const nlohmann::json images = recorded();
  EXPECT_GE(images.size(), 20u);
  for (const auto& [name, want] : images.items()) {
    const auto image = decode_image(read(name));
    ASSERT_TRUE(image.ok()) << name << ": " << image.error().message;
    EXPECT_EQ(image.value().width, want.at("width").get<size_t>()) << name;
    EXPECT_EQ(image.value().height, want.at("height").get<size_t>()) << name;
    EXPECT_EQ(crc32(image.value().rgb), want.at("crc").get<uint32_t>()) << name;
  }
}

TEST(Image, ResizesAndCropsToTheBytesOfPillowAndTorchvision) {
  const nlohmann::json images = recorded();
  for (const auto& [name, want] : images.items()) {
    const auto image = decode_image(read(name));
    ASSERT_TRUE(image.ok()) << name;
    for (const char* shape : {"30", "crop40of24", "square", "bilinear"}) {
      for (const bool pillow : {true, false}) {
        ImageSpec spec = form(shape);
        spec.rounding = pillow ? ImageRounding::kPillow : ImageRounding::kTorchvision;
        const auto prepared = prepare_image(image.value(), spec);
        ASSERT_TRUE(prepared.ok()) << name;
        const std::string key = std::string(shape) + (pillow ? " pillow" : " torchvision");
        EXPECT_EQ(crc32(prepared.value().rgb), want.at(key).get<uint32_t>()) << name << ", " << key;
      }
    }
  }
}

TEST(Image, RefusesWhatIsNone) {
  EXPECT_NE(error_of("").find("empty"), std::string::npos);
  EXPECT_NE(error_of("GIF89a.............").find("neither a JPEG nor a PNG file: it begins with the bytes 47 49 46 38"),
            std::string::npos);
  EXPECT_NE(error_of("\xff\xd8\xff\xe0").find("JPEG"), std::string::npos);
  EXPECT_NE(error_of("\x89PNG\r\n\x1a\n").find("PNG"), std::string::npos);
}

// Cut anywhere, a file is refused, but for the end of a PNG, behind its pixels.
TEST(Image, RefusesTruncatedFiles) {
  const nlohmann::json images = recorded();
  for (const auto& [name, want] : images.items()) {
    const std::string file = read(name);
    for (size_t size = 0; size < file.size() - 40; size += 1 + file.size() / 97) {
      const std::string message = error_of(std::string_view(file).substr(0, size));
      EXPECT_FALSE(message.empty()) << name << " cut to " << size;
    }
    EXPECT_NE(error_of(std::string_view(file).substr(0, file.size() / 2)).find("truncated"), std::string::npos) << name;
  }
}

// A header that promises more pixels than are allowed, before anything is allocated for them.
TEST(Image, RefusesBombs) {
  std::string png = read("rgb.png");
  const auto crc_over = [&](size_t begin, size_t end) {
    return crc32(std::vector<uint8_t>(png.begin() + static_cast<std::ptrdiff_t>(begin),
                                      png.begin() + static_cast<std::ptrdiff_t>(end)));
  };
  png.replace(16, 8, std::string("\0\0\xff\xff\0\0\xff\xff", 8));
  const uint32_t crc = crc_over(12, 29);
  for (size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<char>(crc >> (24 - 8 * i));
  EXPECT_NE(error_of(png).find("65535 x 65535 pixels, at most 67108864"), std::string::npos) << error_of(png);

  std::string jpeg = read("large.jpg");
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, "\x7f\xf0\x7f\xf0");
  EXPECT_NE(error_of(jpeg).find("32752 x 32752 pixels, at most"), std::string::npos) << error_of(jpeg);
}

// One row would become a very long one.
TEST(Image, RefusesWhatIsTooNarrow) {
  const DecodedImage image{60000, 1, std::vector<uint8_t>(180000)};
  ImageSpec spec = form("30");
  EXPECT_FALSE(prepare_image(image, spec).ok());
  spec.shortest_edge = 2;
  spec.crop_height = spec.crop_width = 2;
  EXPECT_TRUE(prepare_image(image, spec).ok());
}

class ImageSpecs : public ::testing::Test {
 protected:
  ImageSpec read(const std::string& json, const std::string& rounding = "auto") {
    directory_.write("preprocessor_config.json", json);
    return read_image_spec(directory_.path(), rounding);
  }
  test::TempDirectory directory_;
};

TEST_F(ImageSpecs, OldAndNewForms) {
  const ImageSpec old =
      read(R"({"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224, "resample": 3})");
  EXPECT_EQ(old.shortest_edge, 224u);
  EXPECT_EQ(old.crop_width, 224u);
  EXPECT_EQ(old.rounding, ImageRounding::kPillow);
  const std::string fast =
      R"({"image_processor_type": "CLIPImageProcessorFast", "size": {"shortest_edge": 336},
          "crop_size": {"height": 336, "width": 336}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]})";
  EXPECT_EQ(read(fast).rounding, ImageRounding::kTorchvision);
  EXPECT_EQ(read(fast, "pillow").rounding, ImageRounding::kPillow);
  EXPECT_FLOAT_EQ((*read(fast).values)[0][255], 1.0f);
  EXPECT_FLOAT_EQ((*read(fast).values)[2][0], -1.0f);
}

TEST_F(ImageSpecs, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(read_image_spec(directory_.path(), "auto"), LoadError);  // there is no file
  for (const char* bad :
       {R"({"image_processor_type": "SiglipImageProcessor"})", R"({"size": 0})", R"({"size": 100000})",
        R"({"size": {"longest_edge": 30}})", R"({"resample": 1})", R"({"image_std": [1, 1, 0]})",
        R"({"image_mean": [1, 1]})", R"({"image_mean": ["a", 1, 1]})", R"({"do_pad": true})", R"({"crop_size": {}})"}) {
    EXPECT_THROW(read(bad), LoadError) << bad;
  }
}

}  // namespace
}  // namespace wde
