"""https_server.py CERTIFICATE KEY MILLISECONDS STREAMS: speaks HTTP/2 over TLS and nothing else, answers each request
with 200 after so long, and takes so many at once on a connection.
Prints "port N", then for each request that it answers "CONNECTION AT_ONCE IDEMPOTENCY_KEY BODY", as they came."""

import asyncio
import ssl
import sys

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

delay = int(sys.argv[3]) / 1000
streams = int(sys.argv[4])


class Connection(asyncio.Protocol):
    connections = 0
    at_once = 0

    def connection_made(self, transport):
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            transport.abort()
            return
        Connection.connections += 1
        self.number = Connection.connections
        self.transport = transport
        self.requests = {}  # by stream: key and body
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        # The library would end the connection of who does not know the limit yet: other servers refuse the streams.
        limit = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={limit: streams})
        self.h2.initiate_connection()
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={limit: 2**31 - 1})
        self.flush()

    def data_received(self, data):
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived) and len(self.requests) >= streams:
                self.h2.reset_stream(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            elif isinstance(event, h2.events.RequestReceived):
                self.requests[event.stream_id] = [dict(event.headers)["idempotency-key"], b""]
            elif isinstance(event, h2.events.DataReceived):
                if event.stream_id in self.requests:
                    self.requests[event.stream_id][1] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self.requests:
                Connection.at_once += 1
                asyncio.get_running_loop().call_later(delay, self.answer, event.stream_id, Connection.at_once)
            elif isinstance(event, h2.events.StreamReset):
                self.requests.pop(event.stream_id, None)
        self.flush()

    def answer(self, stream, at_once):
        Connection.at_once -= 1
        if stream not in self.requests or self.transport.is_closing():
            return
        key, body = self.requests.pop(stream)
        print(self.number, at_once, key, body.decode(), flush=True)
        self.h2.send_headers(stream, [(":status", "200")], end_stream=True)
        self.flush()

    def flush(self):
        self.transport.write(self.h2.data_to_send())


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    context.set_alpn_protocols(["h2"])
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, ssl=context)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
