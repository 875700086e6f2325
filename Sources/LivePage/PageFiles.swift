import HTTP

/// The HTML, CSS, JavaScript and image files of the pages. They are compiled into the program.
enum PageFiles {
    static let jobs = HTTPResponse.file("text/html; charset=utf-8", PackageResources.jobs_html)

    /// Returns the page of topics and nodes.
    ///
    /// - Parameter base: the path prefix of the server's files; empty if they are at the root.
    static func topics(base: String) -> HTTPResponse {
        let text = String(decoding: PackageResources.topics_html, as: UTF8.self)
        let page = text.replacing("%BASE%", with: base.escapedForHTML)
        return .file("text/html; charset=utf-8", Array(page.utf8))
    }

    /// Returns the style, script or image with this path; `nil` if there is none.
    static func response(for path: String) -> HTTPResponse? {
        switch path {
        case "/page.css": .style(PackageResources.page_css)
        case "/videos.css": .style(PackageResources.videos_css)
        case "/jobs.css": .style(PackageResources.jobs_css)
        case "/videos.js": .script(PackageResources.videos_js)
        case "/model.js": .script(PackageResources.model_js)
        case "/logic.js": .script(PackageResources.logic_js)
        case "/charts.js": .script(PackageResources.charts_js)
        case "/table.js": .script(PackageResources.table_js)
        case "/page.js": .script(PackageResources.page_js)
        case "/stream.js": .script(PackageResources.stream_js)
        case "/jobs.js": .script(PackageResources.jobs_js)
        case "/jobs-logic.js": .script(PackageResources.jobs_logic_js)
        case "/jobs-charts.js": .script(PackageResources.jobs_charts_js)
        case "/jobs-overview.js": .script(PackageResources.jobs_overview_js)
        case "/jobs-list.js": .script(PackageResources.jobs_list_js)
        case "/jobs-detail.js": .script(PackageResources.jobs_detail_js)
        case "/jobs-actions.js": .script(PackageResources.jobs_actions_js)
        case "/topics.css": .style(PackageResources.topics_css)
        case "/topics.js": .script(PackageResources.topics_js)
        case "/topics-logic.js": .script(PackageResources.topics_logic_js)
        case "/topics-list.js": .script(PackageResources.topics_list_js)
        case "/topics-views.js": .script(PackageResources.topics_views_js)
        case "/topics-tables.js": .script(PackageResources.topics_tables_js)
        case "/topics-charts.js": .script(PackageResources.topics_charts_js)
        case "/topics-messages.js": .script(PackageResources.topics_messages_js)
        case "/topics-failed.js": .script(PackageResources.topics_failed_js)
        case "/topics-actions.js": .script(PackageResources.topics_actions_js)
        case "/videos.svg": .file("image/svg+xml", PackageResources.videos_svg)
        default: nil
        }
    }
}

extension HTTPResponse {
    fileprivate static func style(_ body: [UInt8]) -> HTTPResponse {
        file("text/css; charset=utf-8", body)
    }
}
