// Sends requests with net/http; matrix.py describes the arguments and the output.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strconv"
)

func main() {
	address, kind, path := os.Args[1], os.Args[2], os.Args[3]
	count, _ := strconv.Atoi(os.Args[4])
	token := ""
	if len(os.Args) > 5 {
		token = os.Args[5]
	}
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	outcomes := map[string]int{}
	for i := 0; i < count; i++ {
		outcomes[exchange(address, kind, content, token)]++
	}
	output, _ := json.Marshal(outcomes)
	fmt.Println(string(output))
}

func exchange(address, kind string, content []byte, token string) string {
	body, contentType := bytes.NewBuffer(content), "text/plain"
	if kind == "form" {
		body = &bytes.Buffer{}
		form := multipart.NewWriter(body)
		part, _ := form.CreateFormFile("file", "photo.jpg")
		part.Write(content)
		form.Close()
		contentType = form.FormDataContentType()
	}
	request, _ := http.NewRequest("POST", address, body)
	request.Header.Set("Content-Type", contentType)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	var problem struct{ Status int }
	if err := read(http.DefaultClient.Do(request))(&problem); err != nil {
		return err.Error()
	}
	health, _ := url.Parse(address)
	var live struct{ Status string }
	if err := read(http.Get(health.JoinPath("/../../../../health/live").String()))(&live); err != nil {
		return "then " + err.Error()
	}
	if live.Status != "ok" {
		return "then " + live.Status
	}
	return strconv.Itoa(problem.Status)
}

func read(response *http.Response, err error) func(any) error {
	return func(into any) error {
		if err != nil {
			return err
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		return json.Unmarshal(content, into)
	}
}
