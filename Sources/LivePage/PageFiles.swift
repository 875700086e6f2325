import HTTP

/// The files of the pages, which the binary contains.
enum PageFiles {
    static let jobs = HTTPResponse.file("text/html; charset=utf-8", PackageResources.jobs_html)

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
