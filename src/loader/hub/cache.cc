#include "loader/hub/cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/hub/select.h"
#include "loader/json_file.h"

namespace wde::hub {
namespace {

namespace fs = std::filesystem;

constexpr int kTreeVersion = 1;

[[noreturn]] void fail(const std::string& file, const std::error_code& error) {
  throw LoadError(fmt::format("{}: cannot be written: {} (the cache's place is set by HF_HUB_CACHE or HF_HOME)", file,
                              error.message()));
}

void make_directories(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) fail(directory.string(), error);
}

// Beside `file`, of a name that nobody else has.
std::string temporary_name(const std::string& file) {
  static std::atomic<unsigned> count = 0;
  return fmt::format("{}.{}-{}.tmp", file, ::getpid(), count++);
}

}  // namespace

void write_file_atomically(const std::string& file, const std::string& content) {
  make_directories(fs::path(file).parent_path());
  const std::string temporary = temporary_name(file);
  std::ofstream stream(temporary, std::ios::binary);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.close();
  std::error_code error;
  if (!stream) {
    error.assign(errno, std::generic_category());
  } else {
    fs::rename(temporary, file, error);
  }
  if (!error) return;
  std::error_code ignored;
  fs::remove(temporary, ignored);
  fail(file, error);
}

RepoCache::RepoCache(std::string cache, const RepoName& name)
    : cache_(std::move(cache)), name_(name), folder_(cache_ + "/" + name.folder()) {}

std::string RepoCache::snapshot(const std::string& commit) const { return folder_ + "/snapshots/" + commit; }
std::string RepoCache::blob(const std::string& etag) const { return folder_ + "/blobs/" + etag; }
std::string RepoCache::lock_file(const std::string& etag) const {
  return fmt::format("{}/.locks/{}/{}.lock", cache_, name_.folder(), etag);
}

void RepoCache::make_folders() const {
  make_directories(folder_ + "/blobs");
  make_directories(folder_ + "/snapshots");
  make_directories(fs::path(lock_file("x")).parent_path());
}

std::optional<std::string> RepoCache::read_ref(const std::string& revision) const {
  const std::string file = folder_ + "/refs/" + revision;
  std::error_code none;
  if (!fs::is_regular_file(file, none)) return std::nullopt;  // a pipe would be waited for
  std::ifstream stream(file, std::ios::binary);
  std::string commit(64, '\0');
  stream.read(commit.data(), static_cast<std::streamsize>(commit.size()));
  commit.resize(static_cast<size_t>(stream.gcount()));
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r')) commit.pop_back();
  if (!is_commit(commit)) return std::nullopt;
  return commit;
}

void RepoCache::write_ref(const std::string& revision, const std::string& commit) const {
  if (read_ref(revision) == commit) return;
  write_file_atomically(folder_ + "/refs/" + revision, commit);
}

std::optional<Listing> RepoCache::read_listing(const std::string& commit) const {
  const std::string file = fmt::format("{}/trees/{}.json", folder_, commit);
  if (!file_exists(file)) return std::nullopt;
  Listing listing;
  listing.commit = commit;
  try {
    const nlohmann::json json = read_json_file(file);
    if (json.at("format_version") != kTreeVersion) return std::nullopt;
    for (const auto& [path, info] : json.at("files").items()) {
      ListedFile listed;
      listed.size = info.at("size").get<uint64_t>();
      listed.git_hash = info.at("blob_id").get<std::string>();
      listed.sha256 = info.value("lfs_sha256", "");
      if (const auto size = info.find("lfs_size"); size != info.end()) listed.size = size->get<uint64_t>();
      if (!is_safe_path(path)) return std::nullopt;
      listing.files.emplace(path, listed);
    }
  } catch (const LoadError&) {
    return std::nullopt;  // as if it were not there: the Hub is asked again
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
  return listing;
}

void RepoCache::write_listing(const Listing& listing) const {
  nlohmann::ordered_json files = nlohmann::ordered_json::object();
  for (const auto& [path, file] : listing.files) {
    if (!file.size || file.git_hash.empty()) return;  // a mirror that does not tell: the format cannot say so
    nlohmann::ordered_json info = {{"size", *file.size}, {"blob_id", file.git_hash}};
    if (!file.sha256.empty()) {
      info["lfs_sha256"] = file.sha256;
      info["lfs_size"] = *file.size;
    }
    files[path] = info;
  }
  const nlohmann::ordered_json tree = {{"format_version", kTreeVersion}, {"files", files}};
  const std::string file = fmt::format("{}/trees/{}.json", folder_, listing.commit);
  // What huggingface_hub wrote says more (Xet hashes).
  if (file_exists(file) && read_listing(listing.commit)) return;
  try {
    write_file_atomically(file, tree.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } catch (const LoadError&) {
    // It only saves questions.
  }
}

bool RepoCache::has_file(const std::string& commit, const std::string& path,
                         const std::optional<uint64_t>& size) const {
  std::error_code error;
  const fs::path file = fs::path(snapshot(commit)) / path;
  if (!fs::is_regular_file(file, error) || error) return false;
  const uint64_t found = fs::file_size(file, error);
  return !error && (!size || found == *size);
}

std::optional<nlohmann::json> RepoCache::read_json(const std::string& commit, const std::string& path) const {
  if (!has_file(commit, path, std::nullopt)) return std::nullopt;
  return read_json_file(snapshot(commit) + "/" + path);
}

std::set<std::string> RepoCache::files(const std::string& commit) const {
  std::set<std::string> names;
  std::error_code error;
  const fs::path root = snapshot(commit);
  for (fs::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) names.insert(at->path().lexically_relative(root).string());
  }
  return names;
}

CacheState RepoCache::state(const std::string& commit) const {
  CacheState state;
  const std::optional<Listing> listing = read_listing(commit);
  state.certain = listing.has_value();
  const ReadLocal read_local = [&](const std::string& path) { return read_json(commit, path); };
  try {
    std::set<std::string> names;
    if (listing) {
      for (const auto& [path, file] : listing->files) names.insert(path);
    } else {
      names = files(commit);
      state.missing = find_gap(names, read_local);
    }
    const Selection selection = select_files(names, read_local, name_.full());
    for (const std::string& path : selection.files) {
      if (!state.missing.empty()) break;
      if (!has_file(commit, path, listing ? listing->files.at(path).size : std::nullopt)) state.missing = path;
    }
    state.complete = state.missing.empty() && selection.final;
  } catch (const LoadError& error) {
    if (state.missing.empty()) state.missing = error.what();
  }
  return state;
}

void RepoCache::link(const std::string& commit, const std::string& path, const std::string& etag) const {
  const fs::path file = fs::path(snapshot(commit)) / path;
  make_directories(file.parent_path());
  fs::path target = "../..";
  for (const char c : path) {
    if (c == '/') target /= "..";
  }
  target = target / "blobs" / etag;
  std::error_code error;
  if (fs::is_symlink(file, error) && fs::read_symlink(file, error) == target) return;

  const std::string temporary = temporary_name(file.string());
  fs::create_symlink(target, temporary, error);
  if (error) {  // a file system without links: the snapshot has the file itself
    error.clear();
    fs::copy_file(blob(etag), temporary, fs::copy_options::overwrite_existing, error);
  }
  if (!error) fs::rename(temporary, file, error);
  if (!error) return;
  std::error_code ignored;
  fs::remove(temporary, ignored);
  fail(file.string(), error);
}

}  // namespace wde::hub
