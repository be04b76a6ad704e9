#include "lockstep/http/feed.hpp"

#include <utility>
#include <vector>

namespace lockstep::http {

void FeedClient::push(const Text& text) {
  bool was_empty = false;
  {
    const Lock lock{mutex_};
    if (replaced_) return;
    was_empty = texts_.empty();
    if (texts_.size() >= most_texts || (!was_empty && bytes_ + text->size() > most_bytes)) {
      ++dropped_;
      return;
    }
    texts_.push_back(text);
    bytes_ += text->size();
  }
  if (was_empty) wake_();
}

FeedClient::Text FeedClient::take() {
  const Lock lock{mutex_};
  if (texts_.empty()) return nullptr;
  auto text = std::move(texts_.front());
  texts_.pop_front();
  bytes_ -= text->size();
  return text;
}

std::uint64_t FeedClient::take_dropped() {
  const Lock lock{mutex_};
  return std::exchange(dropped_, 0);
}

void FeedClient::replace() {
  {
    const Lock lock{mutex_};
    replaced_ = true;
    texts_.clear();
    bytes_ = 0;
  }
  wake_();
}

bool FeedClient::is_replaced() const {
  const Lock lock{mutex_};
  return replaced_;
}

std::shared_ptr<FeedClient> Feed::join(const std::string& id, std::function<void()> wake) {
  auto client = std::make_shared<FeedClient>(std::move(wake));
  std::shared_ptr<FeedClient> before;
  {
    const Lock lock{mutex_};
    const auto found = clients_.find(id);
    if (found == clients_.end() && clients_.size() >= most_clients) return nullptr;
    if (found != clients_.end()) before = found->second;
    clients_[id] = client;
    // Before anything newer can come.
    if (first_) client->push(first_);
    for (const auto& text : remembered_) client->push(text);
  }
  if (before) before->replace();
  return client;
}

void Feed::leave(const std::string& id, const std::shared_ptr<FeedClient>& client) {
  const Lock lock{mutex_};
  const auto found = clients_.find(id);
  if (found != clients_.end() && found->second == client) clients_.erase(found);
}

// Under the lock, so that all get all in one order; waking a client does not wait for it.
void Feed::publish(std::string text) {
  const auto shared = std::make_shared<const std::string>(std::move(text));
  const Lock lock{mutex_};
  remembered_.push_back(shared);
  remembered_bytes_ += shared->size();
  while (remembered_.size() > most_remembered || remembered_bytes_ > FeedClient::most_bytes / 2) {
    remembered_bytes_ -= remembered_.front()->size();
    remembered_.pop_front();
  }
  for (const auto& [id, client] : clients_) client->push(shared);
}

void Feed::begin(std::string text) {
  const Lock lock{mutex_};
  remembered_.clear();
  remembered_bytes_ = 0;
  first_ = text.empty() ? nullptr : std::make_shared<const std::string>(std::move(text));
  if (!first_) return;
  for (const auto& [id, client] : clients_) client->push(first_);
}

std::size_t Feed::clients() const {
  const Lock lock{mutex_};
  return clients_.size();
}

}  // namespace lockstep::http
