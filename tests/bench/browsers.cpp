// What tests/bench/browsers.sh attaches to a daemon: clients that do what the live page does, but
// draw nothing. Each listens to its WebSocket, on which come what arrives and what is applied, and
// asks for /status as often as the page. Some stop reading once they are in, as a browser that is
// suspended does.
//
// Prints "attached" when all are in, then runs until SIGTERM and says what came.

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <iostream>
#include <list>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

namespace lockstep::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds status_every{1500};  // statusEvery of page.js
constexpr int deaf_buffer = 4096;                        // bytes, then the TCP window is full

struct Seen {
  std::uint64_t texts = 0;
  std::uint64_t bytes = 0;
  std::uint64_t dropped = 0;  ///< texts that say that some were
  int lost = 0;               ///< browsers that were hung up on
};

/// One WebSocket. Threads: that of the io_context, once it is made.
class Browser {
 public:
  /// Waits until it is in.
  Browser(asio::io_context& io, const tcp::endpoint& daemon, int number, bool reads, Seen& seen)
      : stream_{io}, seen_{seen} {
    auto& socket = stream_.next_layer();
    socket.open(tcp::v4());
    if (!reads) socket.set_option(tcp::socket::receive_buffer_size{deaf_buffer});
    socket.connect(daemon);
    stream_.handshake("127.0.0.1:" + std::to_string(daemon.port()),
                      "/ws/bench-" + std::to_string(number));
    if (reads) read();
  }

 private:
  void read() {
    stream_.async_read(buffer_, [this](error_code failed, std::size_t size) {
      if (failed) {
        ++seen_.lost;
        return;
      }
      constexpr std::string_view dropped = R"({"type":"dropped")";
      const std::string_view text{static_cast<const char*>(buffer_.data().data()), size};
      ++seen_.texts;
      seen_.bytes += size;
      if (text.starts_with(dropped)) ++seen_.dropped;
      buffer_.clear();
      read();
    });
  }

  websocket::stream<tcp::socket> stream_;
  beast::flat_buffer buffer_;
  Seen& seen_;
};

/// GET /status on a connection that is kept, as a browser's.
class StatusPage {
 public:
  explicit StatusPage(const tcp::endpoint& daemon) : port_{daemon.port()} {
    stream_.connect(daemon);
  }

  void ask() {
    bhttp::request<bhttp::empty_body> request{bhttp::verb::get, "/status", 11};
    request.set(bhttp::field::host, "127.0.0.1:" + std::to_string(port_));
    bhttp::write(stream_, request);
    bhttp::response<bhttp::string_body> response;
    bhttp::read(stream_, buffer_, response);
  }

 private:
  asio::io_context io_;
  beast::tcp_stream stream_{io_};
  beast::flat_buffer buffer_;
  std::uint16_t port_;
};

/// Until `stop`; how many answers came.
std::uint64_t ask_for_status(const std::stop_token& stop, const tcp::endpoint& daemon, int pages) {
  std::list<StatusPage> all;
  for (int i = 0; i < pages; ++i) all.emplace_back(daemon);
  std::mutex mutex;
  std::condition_variable_any wakeup;
  std::uint64_t answers = 0;
  while (!stop.stop_requested()) {
    for (auto& page : all) {
      page.ask();
      ++answers;
      std::unique_lock lock{mutex};
      if (wakeup.wait_for(lock, stop, status_every / pages, [] { return false; })) break;
    }
  }
  return answers;
}

int run(int argc, char** argv) {
  CLI::App app{"Attaches browsers to a daemon, until SIGTERM."};
  std::uint16_t port = 0;
  int count = 0;
  int deaf = 0;
  app.add_option("--port", port, "of the daemon's HTTP, on 127.0.0.1")->required();
  app.add_option("--count", count, "how many")->required()->check(CLI::Range(1, 100));
  app.add_option("--deaf", deaf, "how many of them stop reading")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  try {
    const tcp::endpoint daemon{asio::ip::make_address("127.0.0.1"), port};
    asio::io_context io;
    asio::signal_set signals{io, SIGTERM, SIGINT};
    signals.async_wait([&](error_code, int) { io.stop(); });
    Seen seen;
    std::list<Browser> browsers;
    for (int i = 0; i < count; ++i) browsers.emplace_back(io, daemon, i, i >= deaf, seen);
    std::cout << "attached" << std::endl;
    std::uint64_t answers = 0;
    {
      const std::jthread status{[&](const std::stop_token& stop) {
        try {
          answers = ask_for_status(stop, daemon, count - deaf);
        } catch (const std::exception& error) {
          std::cerr << "bench_browsers: /status: " << error.what() << '\n';
        }
      }};
      io.run();
    }
    std::cout << count << " browsers, " << deaf << " of them deaf: " << seen.texts << " texts, "
              << seen.bytes / 1024 << " KiB, " << seen.dropped << " say that some were dropped, "
              << answers << " times /status, " << seen.lost << " lost" << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "bench_browsers: " << error.what() << '\n';
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  return lockstep::bench::run(argc, argv);
}
