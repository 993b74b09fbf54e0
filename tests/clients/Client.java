// Sends requests with java.net.http.HttpClient; matrix.py describes the arguments and the output.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

public class Client {
    private static final Pattern STATUS = Pattern.compile("\"status\":(\\d+),");
    private static final HttpClient client = HttpClient.newHttpClient();

    public static void main(String[] args) throws Exception {
        URI url = URI.create(args[0]);
        String token = args.length > 4 ? args[4] : null;
        Map<String, Integer> outcomes = new TreeMap<>();
        for (int i = 0; i < Integer.parseInt(args[3]); i++) {
            outcomes.merge(exchange(url, args[1], Path.of(args[2]), token), 1, Integer::sum);
        }
        System.out.println(outcomes.entrySet().stream()
                .map(entry -> "\"" + entry.getKey().replace("\"", "'") + "\": " + entry.getValue())
                .collect(Collectors.joining(", ", "{", "}")));
    }

    private static String exchange(URI url, String kind, Path file, String token) throws Exception {
        BodyPublisher body = BodyPublishers.ofFile(file);
        String contentType = "text/plain";
        if (kind.equals("form")) {
            String head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"photo.jpg\"\r\n\r\n";
            body = BodyPublishers.concat(
                    BodyPublishers.ofString(head), body, BodyPublishers.ofString("\r\n--x--\r\n"));
            contentType = "multipart/form-data; boundary=x";
        }
        HttpRequest.Builder request = HttpRequest.newBuilder(url).POST(body).header("Content-Type", contentType);
        if (token != null) {
            request.header("Authorization", "Bearer " + token);
        }
        HttpRequest health = HttpRequest.newBuilder(url.resolve("/health/live")).build();
        try {
            String problem = client.send(request.build(), BodyHandlers.ofString()).body();
            String live = client.send(health, BodyHandlers.ofString()).body();
            Matcher status = STATUS.matcher(problem);
            if (!status.find()) {
                return problem;
            }
            return live.contains("\"status\":\"ok\"") ? status.group(1) : "then " + live;
        } catch (java.io.IOException error) {
            return error.toString();
        }
    }
}
