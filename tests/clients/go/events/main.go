// Reads a tenant's events as a program of that tenant's would: nats.go, and the official CloudEvents SDK.
// Prints one line for each event; ends with an error at the first that the SDK refuses.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	log.SetFlags(0)
	connection, err := nats.Connect(os.Getenv("NATS_URL"), nats.UserCredentials(os.Getenv("EVENTS_CREDENTIALS")))
	check(err)
	defer connection.Close()
	stream, err := jetstream.NewWithDomain(connection, "atelier")
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	consumer, err := stream.Consumer(ctx, "EVENTS", os.Getenv("EVENTS_DURABLE"))
	check(err)
	for {
		message, err := consumer.Next(jetstream.FetchMaxWait(20 * time.Second))
		check(err)
		read := event.New()
		check(read.UnmarshalJSON(message.Data()))
		check(read.Validate())
		check(message.Ack())
		if read.Subject() != os.Getenv("TASK_ID") {
			continue
		}
		fmt.Println(read.Type(), read.Subject(), read.DataSchema())
		if read.Type() == "atelier.task.completed.v1" {
			return
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
