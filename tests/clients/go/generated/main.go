// Uses the client that oapi-codegen makes of the OpenAPI document: draws a picture, waits, fetches it as bytes.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"atelier.test/clients/generated/atelier"
)

func main() {
	log.SetFlags(0)
	key := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+os.Getenv("ATELIER_KEY"))
		return nil
	}
	client, err := atelier.NewClientWithResponses(os.Getenv("ATELIER_URL"), atelier.WithRequestEditorFn(key))
	check(err)
	drawn := draw(client)
	if drawn.Status != atelier.TaskStatusCOMPLETED || drawn.ResultImagePath == nil {
		log.Fatalf("the task is %s", drawn.Status)
	}
	fetched, err := client.GetImageWithResponse(context.Background(), *drawn.ResultImagePath, nil)
	check(err)
	if fetched.StatusCode() != http.StatusOK {
		log.Fatalf("the picture: %s", fetched.Status())
	}
	check(os.WriteFile(os.Args[1], fetched.Body, 0o600))
}

func draw(client *atelier.ClientWithResponses) atelier.GenerationTaskPublic {
	side, seed := int64(128), int64(7)
	var wanted atelier.CreateTask
	check(wanted.FromCreateGenerationTask(atelier.CreateGenerationTask{
		OriginInstance: "oapi-codegen",
		Prompt:         "a red mug on a white background",
		Width:          &side,
		Height:         &side,
		Seed:           &seed,
	}))
	prefer := "wait=60"
	created, err := client.CreateTaskWithResponse(context.Background(), &atelier.CreateTaskParams{Prefer: &prefer}, wanted)
	check(err)
	if created.JSON200 == nil {
		log.Fatalf("the task: %s %s", created.Status(), created.Body)
	}
	kind, err := created.JSON200.ValueByDiscriminator()
	check(err)
	drawn, ok := kind.(atelier.GenerationTaskPublic)
	if !ok {
		log.Fatalf("the discriminator gave %T", kind)
	}
	return drawn
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
