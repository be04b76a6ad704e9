# Kafka Connect with Debezium's PostgreSQL connector, from the same pom.xml and settings as the local engine.

FROM maven:3.9.11-eclipse-temurin-21 AS plugins
WORKDIR /stack
COPY pom.xml connect.properties ./
RUN mvn -B -q package -Dstack.lib=/stack/lib
RUN printf '\n%s\n' bootstrap.servers=kafka:29092 listeners=http://:8083 plugin.path=/opt/connect/plugins \
        >>connect.properties

FROM apache/kafka:4.2.1
COPY --from=plugins /stack/lib/plugins /opt/connect/plugins
COPY --from=plugins /stack/connect.properties /opt/connect/
CMD ["/opt/kafka/bin/connect-distributed.sh", "/opt/connect/connect.properties"]
