// The configuration's YAML.

#include "lockstep/config/config.hpp"

#include <cstdint>

#include "forms.hpp"

using namespace lockstep;
using namespace lockstep::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view yaml{reinterpret_cast<const char*>(data), size};
  if (yaml.find("${file:") != yaml.npos) return 0;  // it would read any file
  const config::Environment environment{
      .find = [](const std::string& name) -> std::optional<std::string> {
        return name == "SET" ? std::optional<std::string>{"value"} : std::nullopt;
      }};
  const auto parsed = config::parse(yaml, "f.yaml", environment);
  if (parsed) {
    require(!parsed->pipelines.empty(), "a configuration without pipelines");
    return 0;
  }
  require(!parsed.error().empty(), "errors without one");
  for (const auto& error : parsed.error()) {
    require(error.message.starts_with("f.yaml") && error.message.find('\n') == std::string::npos,
            "an error is one line and begins with its place", error.message);
  }
  return 0;
}
