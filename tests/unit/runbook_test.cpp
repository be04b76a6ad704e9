// docs/runbook.md and the tables of docs/operation.md against the code: whoever looks there for
// what the daemon has said, or shows, finds it, and finds nothing that is gone.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"

namespace {

namespace fs = std::filesystem;

const fs::path root{LOCKSTEP_SOURCE_DIR};

std::string content_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream{file}.rdbuf();
  INFO(file);
  REQUIRE_FALSE(text.str().empty());
  return text.str();
}

/// Adjacent literals of the source as the one text that they are, and the code before them.
struct Literal {
  std::string text;
  std::string statement;  ///< from its beginning
};

/// Raw strings are left out: none is a message.
std::vector<Literal> literals_of(const std::string& code) {
  std::vector<Literal> found;
  std::string statement;
  bool goes_on = false;  // nothing but blanks since the last literal
  for (std::size_t at = 0; at < code.size();) {
    const auto is = [&](std::string_view text) { return code.compare(at, text.size(), text) == 0; };
    const auto skip_behind = [&](std::string_view text) {
      at = code.find(text, at + 1) + text.size();
    };
    const char c = code[at];
    const bool in_number =
        c == '\'' && std::isxdigit(static_cast<unsigned char>(code[at - 1])) != 0;
    if (is("//") || is("#include")) {
      skip_behind("\n");
    } else if (is("/*")) {
      skip_behind("*/");
    } else if (is("R\"(")) {
      skip_behind(")\"");
      goes_on = false;
    } else if (c == '"' || (c == '\'' && !in_number)) {
      auto end = at + 1;
      while (code.at(end) != c) end += code[end] == '\\' ? 2 : 1;
      if (c == '"') {
        if (!goes_on) found.push_back({"", statement});
        found.back().text += code.substr(at + 1, end - at - 1);
      }
      goes_on = c == '"';
      at = end + 1;
    } else {
      if (std::isspace(static_cast<unsigned char>(c)) == 0) goes_on = false;
      statement += c;
      if (c == ';' || c == '}') statement.clear();
      ++at;
    }
  }
  return found;
}

std::string replaced(const std::string& text, const char* pattern, const char* by) {
  return std::regex_replace(text, std::regex{pattern}, by);
}

/// As it is printed, with … for what varies.
std::string printed(std::string text) {
  text = replaced(text, R"(\\n)", " ");
  text = replaced(text, R"(\\(.))", "$1");
  text = replaced(text, R"( ?[a-z_]+="?\{[^}]*\}(/s)?"?)", "…");
  text = replaced(text, R"(\{(:[^}]*)?\})", "…");
  return replaced(text, R"(\s+)", " ");
}

bool is_prose(const std::string& text) {
  static const std::regex words{"[a-z]{2} [a-z]"};
  return std::regex_search(text, words);
}

bool is_message(const Literal& literal) {
  static const std::regex sql{"^(SELECT|SET|CREATE|ALTER|UPDATE|INSERT|DELETE|COMMENT) .*"};
  static const std::regex no_trouble{
      "spdlog::(info|debug)\\(|CLI::App|add_(option|flag|subcommand)"};
  return is_prose(literal.text) && !std::regex_search(literal.text, sql) &&
         !std::regex_search(literal.statement, no_trouble);
}

std::string trimmed(const std::string& text) {
  constexpr auto around = " ,;:.()[]{}=\"'";
  const auto begin = text.find_first_not_of(around);
  if (begin == text.npos) return "";
  return text.substr(begin, text.find_last_not_of(around) + 1 - begin);
}

/// What of a message has to be in the runbook: the words between what varies, up to where it begins
/// to say what to do.
std::vector<std::string> clauses_of(const std::string& message) {
  std::vector<std::string> clauses;
  std::string rest = message;
  for (std::size_t dots = 0; dots != rest.npos;) {
    dots = rest.find("…");
    std::string part = rest.substr(0, dots);
    if (dots != rest.npos) rest.erase(0, dots + std::string{"…"}.size());
    part = trimmed(part);
    part = trimmed(part.substr(0, std::min({part.find(": "), part.find("; "), part.find(". ")})));
    if (is_prose(part)) clauses.push_back(part);
  }
  return clauses;
}

struct Source {
  std::string file;
  std::vector<Literal> literals;
};

std::vector<Source> sources() {
  // Not what the daemon says: the tool dead_letters, and the metrics' descriptions.
  static const std::regex others{"daemon/(dead_letters|show_letters|record_text)|http/metrics"};
  std::vector<Source> found;
  for (const auto* const folder : {"src", "include"}) {
    for (const auto& entry : fs::recursive_directory_iterator{root / folder}) {
      const auto name = fs::relative(entry.path(), root).string();
      if (!std::regex_search(name, std::regex{"\\.[ch]pp$"}) || std::regex_search(name, others)) {
        continue;
      }
      found.push_back({name, literals_of(content_of(entry.path()))});
    }
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.file < b.file; });
  return found;
}

/// The texts in `backticks` of the tables' first columns.
std::vector<std::string> first_cells(const std::string& document) {
  std::vector<std::string> found;
  std::istringstream lines{document};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    const std::string cell = line.substr(0, line.find(" | "));
    const std::regex quoted{"`([^`]*)`"};
    for (std::sregex_iterator at{cell.begin(), cell.end(), quoted}, end; at != end; ++at) {
      found.push_back((*at)[1]);
    }
  }
  return found;
}

/// What GitHub makes of the headings.
std::set<std::string> anchors_of(const std::string& document) {
  std::set<std::string> anchors;
  std::istringstream lines{document};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("##")) continue;
    std::string anchor;
    for (const char c : line.substr(line.find(' ') + 1)) {
      const auto byte = static_cast<unsigned char>(c);
      if (std::isalnum(byte) != 0 || c == '-') anchor += static_cast<char>(std::tolower(byte));
      if (c == ' ') anchor += '-';
    }
    anchors.insert(anchor);
  }
  return anchors;
}

/// The words between what varies.
std::vector<std::string> between_dots(std::string text) {
  std::vector<std::string> parts;
  const std::string dots = "…";
  for (auto at = text.find(dots); at != text.npos; at = text.find(dots)) {
    parts.push_back(trimmed(text.substr(0, at)));
    text.erase(0, at + dots.size());
  }
  parts.push_back(trimmed(text));
  return parts;
}

}  // namespace

TEST_CASE("docs/runbook.md has each message that the daemon can print about trouble") {
  const auto runbook = content_of(root / "docs/runbook.md");
  std::size_t looked_up = 0;
  std::string missing;
  for (const auto& source : sources()) {
    for (const auto& literal : source.literals) {
      if (!is_message(literal)) continue;
      for (const auto& clause : clauses_of(printed(literal.text))) {
        ++looked_up;
        if (runbook.find(clause) != runbook.npos) continue;
        missing += source.file + ": " + clause + "\n";
      }
    }
  }
  INFO("not in docs/runbook.md:\n" << missing);
  CHECK(missing.empty());
  CHECK(looked_up > 400);  // or the scan has passed them over
}

TEST_CASE("docs/runbook.md has no message that the daemon does not print any more") {
  std::string all;
  for (const auto& source : sources()) {
    for (const auto& literal : source.literals) all += printed(literal.text) + "\n";
  }
  const auto messages = first_cells(content_of(root / "docs/runbook.md"));
  std::string gone;
  for (const auto& message : messages) {
    for (const auto& part : between_dots(message)) {
      if (is_prose(part) && all.find(part) == all.npos) gone += part + "\n";
    }
  }
  INFO("in no source:\n" << gone);
  CHECK(gone.empty());
  CHECK(messages.size() > 200);
}

TEST_CASE("what docs/runbook.md links to is there") {
  const auto runbook = content_of(root / "docs/runbook.md");
  const std::regex link{R"(\]\(([^)#]*)(#([^)]*))?\))"};
  std::size_t links = 0;
  for (std::sregex_iterator at{runbook.begin(), runbook.end(), link}, end; at != end; ++at) {
    const std::string file = (*at)[1].length() == 0 ? "runbook.md" : (*at)[1].str();
    INFO(at->str());
    CHECK(fs::exists(root / "docs" / file));
    if ((*at)[3].length() > 0) {
      CHECK(anchors_of(content_of(root / "docs" / file)).count((*at)[3]) == 1);
    }
    ++links;
  }
  CHECK(links > 20);
}

TEST_CASE("docs/operation.md has the metrics and the paths that there are, and no others") {
  const auto operation = content_of(root / "docs/operation.md");
  const auto cells = first_cells(operation);
  std::set<std::string> metrics;
  for (const auto& literal : literals_of(content_of(root / "src/http/metrics.cpp"))) {
    if (std::regex_match(literal.text, std::regex{"(lockstep|process)_[a-z_]+"})) {
      metrics.insert(literal.text);
    }
  }
  std::set<std::string> described;
  for (const auto& cell : cells) {
    if (cell.starts_with("lockstep_") || cell.starts_with("process_")) described.insert(cell);
  }
  CHECK(metrics.size() > 20);
  CHECK(described == metrics);

  for (const auto* const file : {"src/http/pipelines.cpp", "src/live/live.cpp"}) {
    for (const auto& literal : literals_of(content_of(root / file))) {
      if (!std::regex_match(literal.text, std::regex{"/[a-z]+[a-z/{}]*"})) continue;
      INFO(file << ": " << literal.text);
      CHECK(operation.find(literal.text) != operation.npos);
    }
  }
}
