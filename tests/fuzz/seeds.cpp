// Makes inputs for the fuzz targets of captured messages: seeds SOURCE_DIR CORPUS_DIR

#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

std::string read(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw std::runtime_error{"can't read " + file.string()};
  return std::move(text).str();
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::istringstream in{read(file)};
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The files of one target, named by number.
class Corpus {
 public:
  Corpus(const fs::path& root, const std::string& target) : folder_{root / target} {
    fs::create_directories(folder_);
  }
  void add(const std::string& input) {
    std::ofstream out{folder_ / std::to_string(++count_), std::ios::binary};
    if (!(out << input << std::flush)) throw std::runtime_error{"can't write " + folder_.string()};
  }

 private:
  fs::path folder_;
  int count_ = 0;
};

/// Each record by itself, and after the two before it: a delete, its tombstone, the new row.
void add_records(const fs::path& file, Corpus& corpus) {
  const auto lines = lines_of(file);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    corpus.add("\n" + lines[i]);
    if (i >= 2) corpus.add("\n" + lines[i - 2] + "\n" + lines[i - 1] + "\n" + lines[i]);
  }
}

/// What no capture has: the headers of a row that gets another key.
void add_new_key(Corpus& corpus) {
  const std::string source = R"("source":{"schema":"s","table":"t","ts_us":1,"sequence":"[1]"})";
  const auto value = [&](const std::string& op, const std::string& after) {
    return R"({"before":null,"after":)" + after + "," + source + R"(,"op":")" + op + R"("})";
  };
  const std::string removed =
      "p.s.t\t{\"id\":1}\t" + value("d", "null") + "\t__debezium.newkey\t{\"id\":2}";
  const std::string created = "p.s.t\t{\"id\":2}\t" + value("c", R"({"id":2,"v":"1.50"})") +
                              "\t__debezium.oldkey\t{\"id\":1}";
  corpus.add("\n" + removed + "\np.s.t\t{\"id\":1}\tnull\n" + created);
}

/// Each column of captured rows as a table of its own.
void add_values(const fs::path& file, Corpus& corpus) {
  for (const auto& line : lines_of(file)) {
    const auto message = Json::parse(line);
    const Json& row = message.at("payload").at("after");
    for (const Json& field : message.at("schema").at("fields")) {
      if (field.at("field") != "after") continue;
      for (Json column : field.at("fields")) {
        const Json value = row.at(column.at("field").get<std::string>());
        column["field"] = "x";
        corpus.add("0\n" + column.dump() + "\n" + value.dump());
      }
    }
  }
}

/// The examples of a document.
void add_yaml(const fs::path& document, Corpus& corpus) {
  const std::string begin = "```yaml\n";
  const std::string text = read(document);
  for (auto at = text.find(begin); at != text.npos; at = text.find(begin, at)) {
    at += begin.size();
    corpus.add(text.substr(at, text.find("```", at) - at));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error{"usage: fuzz_seeds SOURCE_DIR CORPUS_DIR"};
  const fs::path source{argv[1]};
  const fs::path root{argv[2]};
  const fs::path data = source / "tests/data";
  Corpus envelope{root, "envelope"};
  add_records(data / "debezium-3.6-operations.tsv", envelope);
  add_records(data / "debezium-3.6-operations-schemaless.tsv", envelope);
  add_new_key(envelope);
  Corpus value{root, "value"};
  add_values(data / "debezium-3.6-default-modes.jsonl", value);
  add_values(data / "debezium-3.6-string-modes.jsonl", value);
  Corpus config{root, "config"};
  config.add(read(source / "config/lockstep.yaml"));
  add_yaml(source / "docs/configuration.md", config);
  Corpus converters{root, "converters"};
  for (char function = 0; function < 18; ++function) converters.add(std::string{function} + "1");
  return 0;
} catch (const std::exception& e) {
  std::cerr << "fuzz_seeds: " << e.what() << '\n';
  return 1;
}
