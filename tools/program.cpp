#include "program.hpp"

#include <clocale>
#include <csignal>
#include <iostream>
#include <string_view>
#include <vector>

#include "lockstep/config/nearest.hpp"
#include "lockstep/config/url.hpp"
#include "terminal.hpp"

namespace lockstep::tools {
namespace {

postgres::Session connect(const std::string& what, const std::string& url,
                          const std::string& where) {
  try {
    return postgres::Session{
        url, {.application_name = "lockstep-tools", .statement_timeout = std::chrono::seconds{30}}};
  } catch (const std::exception& error) {
    throw Failure{what + ": " + one_line(error) + "; does it run, and is it where " + where +
                  " says?"};
  }
}

/// Of the lines that a mistake in the configuration or in .env takes.
struct ConfigErrors : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace

Program::Program(const std::string& what, const std::string& examples) : app_{what} {
  std::string footer = "Examples:";
  std::string_view rest = examples;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    footer += "\n  " + std::string{rest.substr(0, end)};
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
  app_.footer(
      footer +
      "\nExit codes: 0 all is well, 1 something is not, 2 a wrong command line or configuration.");
  app_.failure_message([](const CLI::App*, const CLI::Error& error) {
    return error_mark() + one_line(error) + "; --help tells what there is\n";
  });
}

void Program::with_config() {
  reads_config_ = true;
  app_.add_option("-c,--config", config_file_, "the daemon's configuration")
      ->type_name("FILE")
      ->envname("LOCKSTEP_CONFIG")
      ->capture_default_str();
}

void Program::with_pipeline() {
  with_config();
  wants_pipeline_ = true;
  app_.add_option("--pipeline", pipeline_name_,
                  "which of its pipelines is meant (default: the first)");
}

void Program::with_source() {
  app_.add_option(
          "--source", source_option_,
          "the source. Everybody on this machine can read a command line: a password belongs "
          "in\nSOURCE_URL, PGPASSWORD or ~/.pgpass. Default: SOURCE_URL, or source_db at "
          "SOURCE_HOST (localhost),\nSOURCE_PORT (5432), user postgres, SOURCE_PASSWORD "
          "(postgres), which may all stand in .env")
      ->type_name("URL");
}

void Program::with_json(const std::string& what) {
  app_.add_flag("--json", json_, what);
}

int Program::run(int argc, char** argv, const std::function<bool()>& work) {
  std::signal(SIGPIPE, SIG_DFL);        // as `| head` expects, whoever has started us
  std::setlocale(LC_CTYPE, "C.UTF-8");  // for the widths of characters
  try {
    app_.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_.exit(error) == 0 ? ok : usage;
  }
  try {
    read();
    const bool well = work();
    if (!std::cout.flush()) throw Failure{"standard output can't be written"};
    return well ? ok : failed;
  } catch (const ConfigErrors& errors) {
    std::cerr << errors.what() << '\n';
    return usage;
  } catch (const UsageError& error) {
    std::cerr << error_mark() << error.what() << '\n';
    return usage;
  } catch (const std::exception& error) {
    std::cout.flush();
    std::cerr << error_mark() << one_line(error) << '\n';
    return failed;
  }
}

void Program::read() {
  auto environment = config::read_environment();
  if (!environment) throw ConfigErrors{to_string(environment.error())};
  environment_ = std::move(*environment);
  if (!reads_config_) return;
  auto config = config::load(config_file_);
  if (!config) throw ConfigErrors{to_string(config.error())};
  config_ = std::move(*config);
  if (!wants_pipeline_) return;
  std::vector<std::string> names;
  for (const auto& pipeline : config_->pipelines) {
    if (pipeline.postgres() == nullptr) continue;
    names.push_back(pipeline.name);
    if (pipeline_ == nullptr && (pipeline_name_.empty() || pipeline.name == pipeline_name_)) {
      pipeline_ = &pipeline;
    }
  }
  if (pipeline_ != nullptr) return;
  if (names.empty()) throw UsageError{config_file_ + ": no pipeline has a postgres sink"};
  auto meant = did_you_mean(pipeline_name_, names);
  if (meant.empty()) {
    for (const auto& name : names) meant += (meant.empty() ? "; there is " : ", ") + name;
  }
  throw UsageError{config_file_ + ": no pipeline \"" + pipeline_name_ + "\" with a postgres sink" +
                   meant};
}

std::string Program::variable(const std::string& name, const std::string& otherwise) const {
  const auto value = environment_->find(name);
  return value && !value->empty() ? *value : otherwise;
}

/// A connection string for libpq: --source, else SOURCE_URL, else what the variables of the local
/// stack say. The error names which of them is no URL, never its text.
std::string Program::source_url() const {
  const auto url = source_option_.empty() ? variable("SOURCE_URL", "") : source_option_;
  if (!url.empty()) {
    if (auto checked = config::check_postgres_url(url); !checked) {
      throw UsageError{(source_option_.empty() ? "SOURCE_URL " : "--source ") +
                       checked.error().message};
    }
    return url;
  }
  std::string pairs = "user=postgres dbname=source_db";
  const auto add = [&](const std::string& key, const std::string& name, const char* otherwise) {
    pairs += " " + key + "='";
    for (const char c : variable(name, otherwise)) {
      if (c == '\'' || c == '\\') pairs += '\\';
      pairs += c;
    }
    pairs += "'";
  };
  add("host", "SOURCE_HOST", "localhost");
  add("port", "SOURCE_PORT", "5432");
  add("password", "SOURCE_PASSWORD", "postgres");
  return pairs;
}

postgres::Session Program::source() const {
  return connect("source", source_url(), "--source, SOURCE_URL or SOURCE_HOST and SOURCE_PORT");
}

postgres::Session Program::target() const {
  return connect("target", sink().url, config_file_);
}

std::string one_line(const std::exception& error) {
  std::string_view text = error.what();
  for (const std::string_view prefix : {"ERROR:", "FATAL:"}) {
    if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  }
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  return std::string{text.substr(0, text.find('\n'))};
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& names) {
  std::string meant;
  for (const auto& name : config::nearest(word, names, 3)) {
    meant += (meant.empty() ? "; did you mean " : " or ") + name;
  }
  return meant.empty() ? "" : meant + "?";
}

}  // namespace lockstep::tools
