// Generated from the OpenAPI description of the service by generate.mjs. Do not edit.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** AccountChanges */
        AccountChanges: {
            /**
             * Display Name
             * @description Null removes the name.
             * @example Ada
             */
            display_name?: string | null;
            /** Password */
            password?: string | null;
            /**
             * Current Password
             * @description Required to change the password.
             */
            current_password?: string | null;
        };
        /** AuditEntryView */
        AuditEntryView: {
            /** Id */
            id: string;
            /**
             * At
             * Format: date-time
             */
            at: string;
            /**
             * Actor
             * @description `user:<id>`, `key:<id>`, or `operator` for the command line.
             */
            actor: string;
            /**
             * Action
             * @example image.deleted
             */
            action: string;
            /**
             * Owner Id
             * @description The user whose account or image it concerns.
             */
            owner_id: string | null;
            /**
             * Target
             * @description The id of the image, session, job or key.
             */
            target: string | null;
            /**
             * Address
             * @description The network address of the client. Null after the account was deleted.
             */
            address: string | null;
        };
        /** AuditPageView */
        AuditPageView: {
            /**
             * Items
             * @description Newest first. May be empty although there are more pages.
             */
            items: components["schemas"]["AuditEntryView"][];
            /**
             * Next Cursor
             * @description Null on the last page.
             */
            next_cursor: string | null;
        };
        /** DeleteBody */
        DeleteBody: {
            /** Ids */
            ids: string[];
        };
        /** DeletedView */
        DeletedView: {
            /**
             * Results
             * @description For each id: `deleted`, or an error code.
             * @example {
             *       "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10": "deleted",
             *       "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b11": "image_missing"
             *     }
             */
            results: {
                [key: string]: string;
            };
        };
        /** DeletionBody */
        DeletionBody: {
            /**
             * Password
             * @description Required if you signed in more than five minutes ago.
             */
            password?: string | null;
        };
        /** DeliveryPageView */
        DeliveryPageView: {
            /**
             * Items
             * @description Newest first. May be empty although there are more pages.
             */
            items: components["schemas"]["DeliveryView"][];
            /**
             * Next Cursor
             * @description Null on the last page.
             */
            next_cursor: string | null;
        };
        /** DeliveryView */
        DeliveryView: {
            /** Id */
            id: string;
            /**
             * Event Id
             * @description The header `webhook-id`. All deliveries of an event have the same one.
             */
            event_id: string | null;
            /** @description Null if the event is older than 30 days. */
            event_type: components["schemas"]["EventType"] | null;
            status: components["schemas"]["JobStatus"];
            /** Attempts */
            attempts: number;
            /**
             * Error
             * @description Why the latest attempt failed.
             */
            error: string | null;
            /** Next Attempt At */
            next_attempt_at: string | null;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
        };
        /** DirectUploadBody */
        DirectUploadBody: {
            /**
             * Filename
             * @example beach.jpg
             */
            filename: string;
            /**
             * Content Type
             * @description The declared type, or empty if it is unknown. The type of the image is detected from its content.
             * @default application/octet-stream
             * @example image/jpeg
             */
            content_type: string;
            /**
             * Size
             * @description The exact size in bytes.
             * @example 41943040
             */
            size: number;
            /** Sha256 */
            sha256?: string | null;
            /** Description */
            description?: string | null;
            /**
             * Custom Metadata
             * @description At most 20 pairs, with keys of 1 to 64 and values of at most 512 characters. They are stored unchanged.
             * @example {
             *       "album": "Summer"
             *     }
             */
            custom_metadata?: {
                [key: string]: string;
            };
        };
        /** DirectUploadStateView */
        DirectUploadStateView: {
            /** Upload Id */
            upload_id: string;
            /**
             * Status
             * @description `pending`: the file has not arrived, or has not been validated. `refused`: the latest file that was validated. Another file can be sent until the form expires; the status stays `refused` until that file is accepted.
             * @enum {string}
             */
            status: "pending" | "completed" | "refused";
            /** @description The image of a completed upload. */
            image: components["schemas"]["ImageView"] | null;
            /** @description Why the file was refused. */
            error: components["schemas"]["UploadRefusalView"] | null;
            /**
             * Expires At
             * Format: date-time
             * @description When the form and the URL of the upload expire.
             */
            expires_at: string;
        };
        /** DirectUploadView */
        DirectUploadView: {
            /** Upload Id */
            upload_id: string;
            /**
             * Url
             * @description Where to post the form: `fields` first, then the file in a field named `file`.
             */
            url: string;
            /** Fields */
            fields: {
                [key: string]: string;
            };
            /**
             * Put Url
             * @description Instead of the form: where to send the file as the body of a PUT. It accepts any Content-Type.
             */
            put_url: string;
            /**
             * Expires At
             * Format: date-time
             */
            expires_at: string;
        };
        /** DownloadBody */
        DownloadBody: {
            /**
             * Image Ids
             * @example [
             *       "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"
             *     ]
             */
            image_ids: string[];
        };
        /**
         * EditBody
         * @description Omitted fields are not changed. A null description removes it, and a null focal point is the center.
         *
         *     `custom_metadata` replaces all pairs; null removes them.
         */
        EditBody: {
            /** Filename */
            filename?: string;
            /** Description */
            description?: string | null;
            focal_point?: components["schemas"]["FocalPoint"] | null;
            /** Custom Metadata */
            custom_metadata?: {
                [key: string]: string;
            } | null;
        };
        /**
         * EventType
         * @enum {string}
         */
        EventType: "image.created" | "image.ready" | "image.failed" | "image.deleted" | "job.completed" | "job.failed" | "account.deleted";
        /** FetchImageBody */
        FetchImageBody: {
            /**
             * Ean Code
             * @description GTIN-8, -12, -13 or -14, or UPC-E. Spaces and hyphens are ignored.
             * @example 3017620422003
             */
            ean_code: string;
            /** Description */
            description?: string | null;
        };
        /**
         * FocalPoint
         * @description In percent of the width from the left, and of the height from the top, as in the CSS property object-position.
         */
        FocalPoint: {
            /**
             * X
             * @example 50
             */
            x: number;
            /**
             * Y
             * @example 30
             */
            y: number;
        };
        /** HealthView */
        HealthView: {
            /**
             * Status
             * @default ok
             * @constant
             */
            status: "ok";
        };
        /** ImagePageView */
        ImagePageView: {
            /** Items */
            items: components["schemas"]["ImageView"][];
            /**
             * Next Cursor
             * @description The `cursor` of the next page; null on the last page.
             */
            next_cursor: string | null;
        };
        /**
         * ImageSort
         * @enum {string}
         */
        ImageSort: "uploaded_at" | "taken_at";
        /**
         * ImageStatus
         * @enum {string}
         */
        ImageStatus: "pending" | "ready";
        /** ImageView */
        ImageView: {
            /**
             * Id
             * @description A UUIDv7: ids sort by upload time.
             * @example 0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10
             */
            id: string;
            /**
             * Filename
             * @example beach.jpg
             */
            filename: string;
            /** Description */
            description: string | null;
            /**
             * Content Type
             * @description Detected from the content.
             * @example image/jpeg
             */
            content_type: string;
            /**
             * Size
             * @description Bytes.
             * @example 4945838
             */
            size: number;
            /**
             * Sha256
             * @description Of the stored original, in hexadecimal digits.
             */
            sha256: string;
            /**
             * Uploaded Sha256
             * @description Of the uploaded file. It differs from `sha256` if the service has removed metadata (`STRIP_ORIGINALS`).
             */
            uploaded_sha256: string;
            /**
             * Width
             * @description After the EXIF orientation was applied.
             * @example 4032
             */
            width: number;
            /**
             * Height
             * @example 3024
             */
            height: number;
            /**
             * Uploaded At
             * Format: date-time
             */
            uploaded_at: string;
            /** @description The source of an image that was fetched by EAN. */
            source: components["schemas"]["SourceView"] | null;
            /** @description `pending` until the scanner of the service has accepted the image. Then all URLs are null. */
            status: components["schemas"]["ImageStatus"];
            /** @description Null for an image that was uploaded before the service read metadata. */
            metadata: components["schemas"]["MetadataView"] | null;
            /**
             * Custom Metadata
             * @description Pairs that the client has set.
             * @example {
             *       "album": "Summer"
             *     }
             */
            custom_metadata: {
                [key: string]: string;
            };
            /** Original Url */
            original_url: string | null;
            /**
             * Thumbnail Url
             * @description The URL of the smallest thumbnail that is ready.
             */
            thumbnail_url: string | null;
            /**
             * Rendition Url
             * @description A URI template (RFC 6570) of URLs that show the image in other sizes and formats.
             */
            rendition_url: string | null;
            /** Urls Expire At */
            urls_expire_at: string | null;
            /**
             * Placeholder
             * @description A ThumbHash in base64, to be shown while the thumbnail loads. Null while thumbnails are pending.
             */
            placeholder: string | null;
            /** Thumbnails */
            thumbnails: components["schemas"]["ThumbnailView"][];
            /** @description The point around which `fit=cover` crops; null is the center. */
            focal_point: components["schemas"]["FocalPoint"] | null;
        };
        /** JobErrorView */
        JobErrorView: {
            /**
             * Code
             * @example product_unknown
             */
            code: string;
            /** Detail */
            detail: string;
        };
        /** JobPageView */
        JobPageView: {
            /** Items */
            items: components["schemas"]["JobView"][];
            /**
             * Next Cursor
             * @description The `cursor` of the next page; null on the last page.
             */
            next_cursor: string | null;
        };
        /** JobResultView */
        JobResultView: {
            /**
             * Image Id
             * @description The image that was fetched or rendered.
             */
            image_id: string | null;
            /**
             * Url
             * @description For an export or a download: the URL of its ZIP file, which needs no token.
             */
            url: string | null;
            /**
             * Note
             * @description For an export or a download: how many images had to be left out, and why. Usually null.
             */
            note: string | null;
            /**
             * Expires At
             * @description When `url` expires. Read the job again to get a new URL.
             */
            expires_at: string | null;
        };
        /**
         * JobStatus
         * @enum {string}
         */
        JobStatus: "queued" | "running" | "retrying" | "completed" | "failed";
        /** JobView */
        JobView: {
            /**
             * Job Id
             * @example 0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10
             */
            job_id: string;
            /**
             * Kind
             * @description `fetch` (a product image), `render` (thumbnails), `export`, `download` (selected images) or `delete_account`. Later versions may add kinds.
             * @example fetch
             */
            kind: string;
            /**
             * Ean Code
             * @description For a fetch: the code of the product, normalized.
             * @example 3017620422003
             */
            ean_code: string | null;
            status: components["schemas"]["JobStatus"];
            /**
             * Attempts
             * @description How many attempts were started.
             */
            attempts: number;
            /**
             * Progress
             * @description Percent.
             */
            progress: number;
            /**
             * Message
             * @description The status in words.
             * @example Fetching the product image: in progress.
             */
            message: string;
            /** @description Why the job failed, or why it will be retried. */
            error: components["schemas"]["JobErrorView"] | null;
            /** @description Null until the job is completed. */
            result: components["schemas"]["JobResultView"] | null;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /**
             * Updated At
             * Format: date-time
             */
            updated_at: string;
            /** Finished At */
            finished_at: string | null;
        };
        /** LimitView */
        LimitView: {
            /**
             * Images
             * @description Null means unlimited.
             */
            images: number | null;
            /**
             * Bytes
             * @description Null means unlimited.
             */
            bytes: number | null;
        };
        /** LimitsView */
        LimitsView: {
            /**
             * Max File Size
             * @description The largest file of `POST /images/upload`, in bytes.
             * @example 10485760
             */
            max_file_size: number;
            /**
             * Max Direct File Size
             * @description The largest file of a direct or resumable upload, in bytes.
             * @example 52428800
             */
            max_direct_file_size: number;
            /**
             * Direct Upload From
             * @description Send files of more bytes than this directly to the store, on a reliable connection.
             * @example 8388608
             */
            direct_upload_from: number;
            /**
             * Resumable Upload From
             * @description Send files of more bytes than this as resumable uploads, on a connection that may break.
             * @example 8388608
             */
            resumable_upload_from: number;
            /**
             * Max Request Size
             * @description The largest body of a request, in bytes, or null. It also limits a part of a resumable upload.
             */
            max_request_size: number | null;
            /**
             * Max Open Uploads
             * @description How many direct and resumable uploads of one user may be open.
             * @default 100
             */
            max_open_uploads: number;
            /**
             * Content Types
             * @description The supported formats.
             * @example [
             *       "image/jpeg",
             *       "image/png"
             *     ]
             */
            content_types: string[];
            /**
             * Extensions
             * @description The usual filename extensions of these formats. The content decides, not the name.
             * @example [
             *       "jpg",
             *       "jpeg",
             *       "png"
             *     ]
             */
            extensions: string[];
            /**
             * Max Pixels
             * @description The most pixels in one frame.
             * @example 67108864
             */
            max_pixels: number;
            /**
             * Max Frames
             * @description The most frames of an animation.
             * @example 500
             */
            max_frames: number;
            /**
             * Max Filename Length
             * @description Longer filenames are truncated.
             * @default 255
             */
            max_filename_length: number;
            /**
             * Max Description Length
             * @description Longer descriptions are refused.
             * @default 2000
             */
            max_description_length: number;
            /**
             * Thumbnail Sizes
             * @description The longest sides in pixels.
             * @example [
             *       200,
             *       500,
             *       800
             *     ]
             */
            thumbnail_sizes: number[];
            /**
             * Rendition Sizes
             * @description The widths of renditions in pixels. The largest one also limits the height.
             * @example [
             *       320,
             *       640,
             *       1280,
             *       2560
             *     ]
             */
            rendition_sizes: number[];
            /** @description What one user may store. */
            quota: components["schemas"]["LimitView"];
            /**
             * Has Local Accounts
             * @description Whether this service stores the accounts: users can change passwords and end sessions.
             */
            has_local_accounts: boolean;
            /**
             * Can Reset Password
             * @description Whether the service sends links to reset passwords by email.
             */
            can_reset_password: boolean;
        };
        /** LivenessView */
        LivenessView: {
            /**
             * Status
             * @default ok
             * @constant
             */
            status: "ok";
            /**
             * Proxy Trusted
             * @description Whether the service uses the address in X-Forwarded-For as that of the client. False: the header came from an address that FORWARDED_ALLOW_IPS does not name. Null: there is no such header.
             */
            proxy_trusted: boolean | null;
        };
        /** ManagedUserView */
        ManagedUserView: {
            /** Id */
            id: string;
            /**
             * Email
             * @description Null if Firebase manages the account.
             */
            email: string | null;
            /** Display Name */
            display_name: string | null;
            /**
             * Created At
             * @description Null if Firebase manages the account.
             */
            created_at: string | null;
            /**
             * Disabled At
             * @description When an operator disabled the account.
             */
            disabled_at: string | null;
            /**
             * Is Closed
             * @description Whether everything of the user is being deleted.
             */
            is_closed: boolean;
            usage: components["schemas"]["UserUsage"];
        };
        /** MeView */
        MeView: {
            /** Id */
            id: string;
            /** Email */
            email: string | null;
            /** Display Name */
            display_name: string | null;
            /**
             * Created At
             * @description Null with `AUTH=firebase` and no `FIREBASE_API_KEY`.
             */
            created_at: string | null;
            usage: components["schemas"]["UsageView"];
        };
        /**
         * MetadataView
         * @description What the camera recorded. A field is null if the file does not have it.
         */
        MetadataView: {
            /**
             * Taken At
             * @description The time on the clock of the camera, without an offset.
             * @example 2026-07-14T18:03:22.000
             */
            taken_at: string | null;
            /**
             * Taken Offset
             * @description The offset of that clock from UTC.
             * @example +02:00
             */
            taken_offset: string | null;
            /**
             * Camera Make
             * @example Canon
             */
            camera_make: string | null;
            /**
             * Camera Model
             * @example EOS R5
             */
            camera_model: string | null;
            /** Lens */
            lens: string | null;
            /**
             * Exposure Seconds
             * @example 0.008
             */
            exposure_seconds: number | null;
            /**
             * F Number
             * @example 2.8
             */
            f_number: number | null;
            /**
             * Iso
             * @example 100
             */
            iso: number | null;
            /**
             * Focal Length Mm
             * @example 50
             */
            focal_length_mm: number | null;
            /**
             * Orientation
             * @description The EXIF orientation, 1 to 8. `width` and `height` include it.
             */
            orientation: number | null;
            /** @description Null unless the service keeps positions (`KEEP_LOCATION`). */
            position: components["schemas"]["PositionView"] | null;
        };
        /** MonthView */
        MonthView: {
            /**
             * Month
             * @example 2024-05
             */
            month: string;
            /**
             * Images
             * @example 123
             */
            images: number;
        };
        /** PasswordResetBody */
        PasswordResetBody: {
            /**
             * Email
             * @example ada@example.com
             */
            email: string;
        };
        /** PasswordResetConfirmation */
        PasswordResetConfirmation: {
            /**
             * Token
             * @description The part of the link after `reset=`.
             */
            token: string;
            /**
             * Password
             * @description 8 to 128 characters. Common passwords are refused.
             * @example correct horse battery
             */
            password: string;
        };
        /** PositionView */
        PositionView: {
            /**
             * Latitude
             * @description Degrees (WGS 84).
             * @example 53.5511
             */
            latitude: number;
            /**
             * Longitude
             * @example 9.9937
             */
            longitude: number;
            /**
             * Altitude
             * @description Meters above sea level.
             */
            altitude: number | null;
        };
        /** RegisterBody */
        RegisterBody: {
            /**
             * Email
             * @example ada@example.com
             */
            email: string;
            /**
             * Password
             * @description 8 to 128 characters. Common passwords are refused.
             * @example correct horse battery
             */
            password: string;
            /**
             * Display Name
             * @example Ada
             */
            display_name?: string | null;
            /**
             * Invitation
             * @description The invitation, if the service requires one (`REGISTRATION=invite`).
             */
            invitation?: string | null;
        };
        /** RegisteredView */
        RegisteredView: {
            /** Access Token */
            access_token: string;
            /**
             * Token Type
             * @default bearer
             * @constant
             */
            token_type: "bearer";
            /**
             * Expires In
             * @description Seconds.
             * @example 1800
             */
            expires_in: number;
            /**
             * Refresh Token
             * @description Valid for one exchange, which returns the next one.
             */
            refresh_token: string;
            user: components["schemas"]["UserView"];
        };
        /** SessionList */
        SessionList: {
            /**
             * Sessions
             * @description At most 100, the most recently used first.
             */
            sessions: components["schemas"]["SessionView"][];
        };
        /** SessionView */
        SessionView: {
            /** Id */
            id: string;
            /**
             * Is Current
             * @description Whether the access token of this request belongs to this session.
             */
            is_current: boolean;
            /**
             * User Agent
             * @description The `User-Agent` of the sign-in.
             */
            user_agent: string | null;
            /**
             * Created At
             * @description When the user signed in. Null for sessions of earlier versions.
             */
            created_at: string | null;
            /**
             * Last Used At
             * @description When the tokens were last refreshed.
             */
            last_used_at: string | null;
            /**
             * Expires At
             * Format: date-time
             */
            expires_at: string;
        };
        /** ShareBody */
        ShareBody: {
            /**
             * Image Ids
             * @description In the order in which they are shown.
             * @example [
             *       "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"
             *     ]
             */
            image_ids: string[];
            /** Title */
            title?: string | null;
            /**
             * Expires At
             * @description With a time zone. Null: until it is revoked.
             */
            expires_at?: string | null;
            /**
             * Password
             * @description The receiver has to enter it.
             */
            password?: string | null;
            /**
             * @description What the receiver may download.
             * @default none
             */
            download: components["schemas"]["ShareDownload"];
        };
        /**
         * ShareChanges
         * @description Omitted fields are not changed. Null removes the title, the expiry or the password.
         */
        ShareChanges: {
            /**
             * Image Ids
             * @description In the order in which they are shown.
             * @example [
             *       "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"
             *     ]
             */
            image_ids?: string[];
            /** Title */
            title?: string | null;
            /** Expires At */
            expires_at?: string | null;
            /** Password */
            password?: string | null;
            /** @default none */
            download: components["schemas"]["ShareDownload"];
        };
        /**
         * ShareDownload
         * @description What the receiver of a link may download.
         * @enum {string}
         */
        ShareDownload: "none" | "rendition" | "original";
        /** SharePageView */
        SharePageView: {
            /**
             * Items
             * @description Newest first.
             */
            items: components["schemas"]["ShareView"][];
            /**
             * Next Cursor
             * @description The `cursor` of the next page; null on the last page.
             */
            next_cursor: string | null;
        };
        /** SharePassword */
        SharePassword: {
            /** Password */
            password: string;
        };
        /** ShareView */
        ShareView: {
            /**
             * Id
             * @example 0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10
             */
            id: string;
            /**
             * Url
             * @description The page that shows the images. It needs no account.
             */
            url: string;
            /** Image Ids */
            image_ids: string[];
            /** Title */
            title: string | null;
            download: components["schemas"]["ShareDownload"];
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /** Expires At */
            expires_at: string | null;
            /** Has Password */
            has_password: boolean;
        };
        /** SharedImageView */
        SharedImageView: {
            /**
             * Id
             * @example 0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10
             */
            id: string;
            /** Width */
            width: number;
            /** Height */
            height: number;
            /** Description */
            description: string | null;
            /**
             * Placeholder
             * @description A ThumbHash in base64, to be shown while the image loads.
             */
            placeholder: string | null;
            /**
             * Rendition Url
             * @description A URI template (RFC 6570), as `rendition_url` of an image.
             */
            rendition_url: string;
            /**
             * Download Url
             * @description Null unless the receiver may download the images.
             */
            download_url: string | null;
        };
        /** SharedPageView */
        SharedPageView: {
            /** Title */
            title: string | null;
            download: components["schemas"]["ShareDownload"];
            /** Expires At */
            expires_at: string | null;
            /** Images */
            images: components["schemas"]["SharedImageView"][];
            /**
             * Next Page
             * @description The `page` that follows; null on the last page.
             */
            next_page: number | null;
        };
        /**
         * SourceView
         * @description The source of an image. The license requires that it is shown with the image.
         */
        SourceView: {
            /**
             * Ean
             * @example 3017620422003
             */
            ean: string;
            /**
             * Url
             * @description The product's page.
             */
            url: string;
            /** Product Name */
            product_name: string | null;
            /** Brand */
            brand: string | null;
            /**
             * Licence
             * @example CC BY-SA 3.0
             */
            licence: string;
            /** Attribution */
            attribution: string;
        };
        /**
         * ThumbnailStatus
         * @enum {string}
         */
        ThumbnailStatus: "pending" | "ready" | "failed";
        /** ThumbnailView */
        ThumbnailView: {
            /**
             * Size
             * @description The requested length of the longest side, in pixels.
             * @example 200
             */
            size: number;
            status: components["schemas"]["ThumbnailStatus"];
            /** Width */
            width: number | null;
            /** Height */
            height: number | null;
            /** Bytes */
            bytes: number | null;
            /** Url */
            url: string | null;
            /**
             * Reason
             * @description Why the thumbnail failed.
             */
            reason: string | null;
            /** Attempts */
            attempts: number;
        };
        /** ThumbnailsView */
        ThumbnailsView: {
            /** Thumbnails */
            thumbnails: components["schemas"]["ThumbnailView"][];
        };
        /** TimelineView */
        TimelineView: {
            /**
             * Months
             * @description The months with images, newest first.
             */
            months: components["schemas"]["MonthView"][];
            /**
             * Images
             * @description The number of images in all months.
             * @example 123
             */
            images: number;
        };
        /**
         * TokenForm
         * @description The OAuth 2.0 password form (RFC 6749 section 4.3.2). Client credentials and scopes are ignored.
         */
        TokenForm: {
            /**
             * Username
             * @description The email address.
             * @example ada@example.com
             */
            username: string;
            /**
             * Password
             * @example correct horse battery
             */
            password: string;
        };
        /** TokenView */
        TokenView: {
            /** Access Token */
            access_token: string;
            /**
             * Token Type
             * @default bearer
             * @constant
             */
            token_type: "bearer";
            /**
             * Expires In
             * @description Seconds.
             * @example 1800
             */
            expires_in: number;
            /**
             * Refresh Token
             * @description Valid for one exchange, which returns the next one.
             */
            refresh_token: string;
        };
        /** UploadRefusalView */
        UploadRefusalView: {
            /**
             * Code
             * @example image_corrupt
             */
            code: string;
            /** Detail */
            detail: string;
        };
        /** UsageView */
        UsageView: {
            /** Images */
            images: number;
            /**
             * Bytes
             * @description The total size of the originals.
             */
            bytes: number;
            /**
             * Reserved Bytes
             * @description The announced size of the open direct and resumable uploads.
             */
            reserved_bytes: number;
            limit: components["schemas"]["LimitView"];
        };
        /** UserDeletionView */
        UserDeletionView: {
            /**
             * Job Id
             * @description The job that deletes everything of the user. `GET /admin/users/{id}` is 404 after it.
             */
            job_id: string;
        };
        /** UserPageView */
        UserPageView: {
            /** Items */
            items: components["schemas"]["ManagedUserView"][];
            /**
             * Next Cursor
             * @description Null on the last page.
             */
            next_cursor: string | null;
        };
        /** UserUsage */
        UserUsage: {
            /** Images */
            images: number;
            /**
             * Bytes
             * @description The total size of the originals.
             */
            bytes: number;
        };
        /** UserView */
        UserView: {
            /** Id */
            id: string;
            /** Email */
            email: string | null;
            /** Display Name */
            display_name: string | null;
            /**
             * Created At
             * @description Null with `AUTH=firebase` and no `FIREBASE_API_KEY`.
             */
            created_at: string | null;
        };
        /** WebhookBody */
        WebhookBody: {
            /**
             * Url
             * @description Begins with https://.
             * @example https://shop.example.com/hooks
             */
            url: string;
            /**
             * Event Types
             * @description The events that are sent to it.
             * @default [
             *       "image.created",
             *       "image.ready",
             *       "image.failed",
             *       "image.deleted",
             *       "job.completed",
             *       "job.failed",
             *       "account.deleted"
             *     ]
             */
            event_types: components["schemas"]["EventType"][];
        };
        /**
         * WebhookChanges
         * @description Fields that are missing stay as they are.
         */
        WebhookChanges: {
            /** Url */
            url?: string | null;
            /** Event Types */
            event_types?: components["schemas"]["EventType"][] | null;
            /** Disabled */
            disabled?: boolean | null;
        };
        /** WebhookListView */
        WebhookListView: {
            /**
             * Items
             * @description The oldest first.
             */
            items: components["schemas"]["WebhookView"][];
        };
        /** WebhookSecretView */
        WebhookSecretView: {
            /** Id */
            id: string;
            /** Url */
            url: string;
            /** Event Types */
            event_types: components["schemas"]["EventType"][];
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /**
             * Disabled At
             * @description When an operator disabled it, or the service after a day of failed deliveries.
             */
            disabled_at: string | null;
            /**
             * Previous Secret Until
             * @description Until then, the previous secret signs as well.
             */
            previous_secret_until: string | null;
            /**
             * Secret
             * @description Verifies the signatures. Not shown again.
             * @example whsec_MfKQ9r8GKYqr…
             */
            secret: string;
        };
        /** WebhookView */
        WebhookView: {
            /** Id */
            id: string;
            /** Url */
            url: string;
            /** Event Types */
            event_types: components["schemas"]["EventType"][];
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /**
             * Disabled At
             * @description When an operator disabled it, or the service after a day of failed deliveries.
             */
            disabled_at: string | null;
            /**
             * Previous Secret Until
             * @description Until then, the previous secret signs as well.
             */
            previous_secret_until: string | null;
        };
        /** ProblemField */
        ProblemField: {
            /**
             * Field
             * @example body.email
             */
            field: string;
            /**
             * Message
             * @example Field required
             */
            message: string;
        };
        /**
         * Problem
         * @description An error: `code` is for programs, `detail` for people.
         */
        Problem: {
            /**
             * Type
             * @description A page that explains the code: its path, or its URL if the service knows its own (`PUBLIC_URL`).
             * @example /problems/image_missing
             */
            type: string;
            /**
             * Title
             * @example No such image
             */
            title: string;
            /**
             * Status
             * @example 404
             */
            status: number;
            /**
             * Code
             * @example image_missing
             */
            code: string;
            /**
             * Detail
             * @example You have no image with this id.
             */
            detail: string;
            /**
             * Request Id
             * @example 0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10
             */
            request_id: string;
            /**
             * Errors
             * @description One entry per invalid field; empty for most codes.
             */
            errors: components["schemas"]["ProblemField"][];
        };
        /** RefreshBody */
        RefreshBody: {
            /** Refresh Token */
            refresh_token: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;

/** The codes of the errors that the service responds with. Later versions may add codes. */
export type ServiceErrorCode =
  | "account_disabled"
  | "accounts_external"
  | "body_too_large"
  | "body_too_slow"
  | "checksum_mismatch"
  | "content_encoding_unsupported"
  | "credentials_invalid"
  | "cursor_invalid"
  | "dependency_unavailable"
  | "digest_mismatch"
  | "ean_invalid"
  | "email_invalid"
  | "email_taken"
  | "file_empty"
  | "file_missing"
  | "file_repeated"
  | "form_expired"
  | "form_invalid"
  | "format_unsupported"
  | "host_not_allowed"
  | "idempotency_key_invalid"
  | "idempotency_key_reused"
  | "image_corrupt"
  | "image_missing"
  | "image_pending"
  | "image_too_expensive"
  | "image_too_large"
  | "internal"
  | "invitation_invalid"
  | "invitation_required"
  | "job_missing"
  | "json_invalid"
  | "multipart_invalid"
  | "multipart_required"
  | "not_ready"
  | "object_missing"
  | "offset_stream_required"
  | "overloaded"
  | "password_incorrect"
  | "password_reset_invalid"
  | "password_reset_unavailable"
  | "password_weak"
  | "quota_exceeded"
  | "range_unsatisfiable"
  | "refresh_token_invalid"
  | "registration_closed"
  | "request_in_progress"
  | "request_invalid"
  | "request_malformed"
  | "request_timeout"
  | "server_key_invalid"
  | "server_key_refused"
  | "session_not_found"
  | "share_missing"
  | "share_password_required"
  | "sign_in_again"
  | "thumbnail_missing"
  | "token_expired"
  | "token_invalid"
  | "token_missing"
  | "too_many_attempts"
  | "too_many_connections"
  | "too_many_open_uploads"
  | "too_many_uploads"
  | "tus_version_unsupported"
  | "upload_incomplete"
  | "upload_locked"
  | "upload_mismatch"
  | "upload_missing"
  | "upload_offset_mismatch"
  | "upload_too_large"
  | "url_expired"
  | "url_invalid"
  | "user_not_found"
  | "webhook_delivery_not_found"
  | "webhook_disabled"
  | "webhook_limit_reached"
  | "webhook_not_found"
  | "webhook_url_refused";
