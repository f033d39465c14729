"""Messages between the services: one protocol, on RabbitMQ and in process."""
